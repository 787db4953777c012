"""Sends a heartbeat to all open pages, so that a page notices a dead connection within seconds.

A socket whose network is cut off looks open for a minute or more. The heartbeat bypasses the
States: it is one packet for all pages.
"""

import asyncio

import reflex as rx
import structlog
from reflex.state import StateUpdate
from reflex_base.constants import SocketEvent
from reflex_base.constants.state import FIELD_MARKER

log = structlog.get_logger()

BEAT_S = 4.0


async def beat_sockets(app: rx.App, state: str) -> None:
    """Sends heartbeats until it is cancelled. `state`: the full name of the State that has
    `beat`."""
    beats = 0
    while True:
        await asyncio.sleep(BEAT_S)
        beats += 1
        namespace = app.event_namespace
        if namespace is None:
            continue
        update = StateUpdate(delta={state: {"beat" + FIELD_MARKER: str(beats)}})
        try:
            await namespace.emit(str(SocketEvent.EVENT), update)
        except Exception:
            log.exception("heartbeat.bug")
