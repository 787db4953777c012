"""Sends open pages to the login when their session has ended, wherever it was ended."""

import asyncio

import reflex as rx
import structlog
from reflex.state import StateUpdate
from reflex_base.constants import SocketEvent
from reflex_base.event import Event

from genai_app.errors import StorageUnavailable
from genai_app.services import services
from genai_app.web.binding import open_sockets

log = structlog.get_logger()

INTERVAL_S = 2.0


async def watch_sessions(app: rx.App) -> None:
    """Runs for the life of the process. One query for all open sockets at a time."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            await end_dead_sockets(app)
        except StorageUnavailable:
            continue  # nobody is logged out because the database is away
        except Exception:
            log.exception("session_watch.bug")


async def end_dead_sockets(app: rx.App) -> None:
    ended = await services().sessions.list_ended(set(open_sockets.values()))
    namespace, sio = app.event_namespace, app.sio
    if not ended or namespace is None or sio is None:
        return
    away = StateUpdate(events=Event.from_event_type(rx.redirect("/login?error=session_ended")))
    for sid in [sid for sid, session_id in open_sockets.items() if session_id in ended]:
        await namespace.emit(str(SocketEvent.EVENT), away, to=sid)
        await sio.disconnect(sid, namespace=namespace.namespace)
