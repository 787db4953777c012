"""Refuses handlers to callers who lack the role that the handler declares (rights.py).
tests/socket/ compares the declarations with Reflex's own registry."""

from collections.abc import Collection

import reflex as rx
import structlog
from reflex.state import BaseState, StateUpdate
from reflex_base.event import Event

from genai_app.access import Actor
from genai_app.errors import StorageUnavailable
from genai_app.models import AuditEvent
from genai_app.rights import NEEDED_ROLES, PUBLIC_HANDLERS
from genai_app.services import services
from genai_app.services.accounts.current_actor import act_as
from genai_app.services.audit.events import Action, Outcome, event
from genai_app.web.addresses import login_address
from genai_app.web.cookies import session_token, zone_of
from genai_app.web.sockets import open_addresses, open_sockets
from genai_app.zones import set_viewer_zone

log = structlog.get_logger()

# handlers that Reflex itself needs to open a page
FRAMEWORK_HANDLERS = frozenset(
    {
        "state.hydrate",
        "state.hydrate_and_load",
        "state.set_is_hydrated",
        "on_load_internal_state.on_load_internal",
        "on_load_internal_state.set_is_hydrated",
        "update_vars_internal_state.update_vars_internal",
        "frontend_event_exception_state.handle_frontend_exception",
    }
)

# vars that the browser stores and sends: preferences and an idempotency key
CLIENT_VARS = frozenset({"ui_state.locale_cookie", "chat_state.send_id", "reasoning_state.choice"})


def is_public(name: str) -> bool:
    """Returns whether the handler may be called before a login."""
    return name in FRAMEWORK_HANDLERS or name in PUBLIC_HANDLERS


def short_name(event_name: str) -> str:
    """Returns `ui_state.choose` for `...genai_app___state___ui____ui_state.choose`."""
    state, _, handler = event_name.rpartition(".")
    return f"{state.rpartition('.')[2].rpartition('____')[2]}.{handler}"


class Policy(rx.Middleware):
    """Checks the session and the role before every handler, also background and chained ones."""

    def __init__(self, unavailable: dict[str, dict[str, str]], opening: Collection[str]) -> None:
        """
        Args:
            unavailable: the delta that shows on the page that the database is unavailable.
            opening: handlers that open a page. A user without the role is redirected to `/`.
        """
        self._unavailable = unavailable
        self._opening = opening

    async def preprocess(self, app: rx.App, state: BaseState, event: Event) -> StateUpdate | None:
        name = short_name(event.name)
        address = _address_of(state)
        if state.router.session.session_id in open_sockets:
            open_addresses[state.router.session.session_id] = address
        if is_public(name):
            return None
        try:
            actor = await services().sessions.find_actor(session_token(state.router.headers.cookie))
        except StorageUnavailable:
            return StateUpdate(delta=self._unavailable)
        if actor is None:
            login = rx.redirect(login_address(address))
            return StateUpdate(events=Event.from_event_type(login))
        needed = NEEDED_ROLES.get(name)
        if needed is None or not actor.has(needed):
            log.warning("handler.refused", handler=name[:120], user=actor.username)
            await services().audit.record_news(_refusal(actor, name[:120]))
            return StateUpdate(
                events=Event.from_event_type(rx.redirect("/")) if name in self._opening else []
            )
        act_as(actor)
        set_viewer_zone(zone_of(state.router.headers.cookie))
        return None


def _address_of(state: BaseState) -> str:
    """Returns path and query of the page."""
    url = state.router.url
    return f"{url.path}?{url.query}" if url.query else url.path


def _refusal(actor: Actor, name: str) -> AuditEvent:
    return event(Action.ACCESS, Outcome.REFUSED, by=actor, target=name)
