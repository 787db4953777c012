"""Redirects open pages to the login when their session has ended, in this or another process."""

import asyncio

import reflex as rx
import structlog
from reflex.state import StateUpdate
from reflex_base.constants import SocketEvent
from reflex_base.event import Event

from genai_app.errors import StorageUnavailable
from genai_app.services import services
from genai_app.web.addresses import login_address
from genai_app.web.sockets import open_addresses, open_sockets

log = structlog.get_logger()

INTERVAL_S = 2.0


async def watch_sessions(app: rx.App) -> None:
    """Looks for ended sessions until it is cancelled, with one query for all open sockets."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            await end_dead_sockets(app)
        except StorageUnavailable:
            continue  # an unavailable database logs nobody out
        except Exception:
            log.exception("session_watch.bug")


async def end_dead_sockets(app: rx.App) -> None:
    """Redirects the pages of ended sessions to the login, and closes their sockets."""
    ended = await services().sessions.list_ended(set(open_sockets.values()))
    namespace, sio = app.event_namespace, app.sio
    if not ended or namespace is None or sio is None:
        return
    for sid in [sid for sid, session_id in open_sockets.items() if session_id in ended]:
        login = login_address(open_addresses.get(sid, ""), error="session_ended")
        away = StateUpdate(events=Event.from_event_type(rx.redirect(login)))
        await namespace.emit(str(SocketEvent.EVENT), away, to=sid)
        await sio.disconnect(sid, namespace=namespace.namespace)
