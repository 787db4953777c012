"""Who may call which handler. Any websocket client may name any handler, whether or not a page
shows it, so what is not in the table is refused. tests/socket/ compares it with Reflex's own
registry."""

import reflex as rx
import structlog
from reflex.state import BaseState, StateUpdate
from reflex_base.event import Event

from genai_app.access import Actor
from genai_app.errors import StorageUnavailable
from genai_app.models import AuditEvent, Role
from genai_app.services import services
from genai_app.services.acting import act_as
from genai_app.services.audit import Action, Outcome, event
from genai_app.web.cookies import session_token

log = structlog.get_logger()

# What Reflex itself needs to open a page, and what the login page shows.
PUBLIC = frozenset(
    {
        "state.hydrate",
        "state.hydrate_and_load",
        "state.set_is_hydrated",
        "on_load_internal_state.on_load_internal",
        "on_load_internal_state.set_is_hydrated",
        "update_vars_internal_state.update_vars_internal",
        "frontend_event_exception_state.handle_frontend_exception",
        "login_state.load",
        "ui_state.choose_locale",
    }
)

# Vars that live in the browser and come from there: preferences and an idempotency key.
CLIENT_VARS = frozenset({"ui_state.locale_cookie", "chat_state.send_id"})

NEEDS: dict[str, Role] = {
    "ui_state.toggle_sidebar": Role.USER,
    "dialogs_state.load": Role.USER,
    "dialogs_state.load_more": Role.USER,
    "dialogs_state.begin_rename": Role.USER,
    "dialogs_state.ask_delete": Role.USER,
    "dialogs_state.cancel": Role.USER,
    "dialogs_state.rename": Role.USER,
    "dialogs_state.delete": Role.USER,
    "chat_state.open": Role.USER,
    "chat_state.send": Role.USER,
    "chat_state.stop": Role.USER,
    "chat_state.regenerate": Role.USER,
    "chat_state.choose_answer": Role.USER,
    "chat_state.load_older": Role.USER,
    "chat_state.dismiss_error": Role.USER,
    "stream_state.follow": Role.USER,
    "limit_state.watch": Role.USER,
    "settings_state.open": Role.USER,
    "keys_state.create": Role.USER,
    "keys_state.forget": Role.USER,
    "keys_state.ask_revoke": Role.USER,
    "keys_state.cancel": Role.USER,
    "keys_state.revoke": Role.USER,
    "logins_state.end": Role.USER,
    "logins_state.end_others": Role.USER,
    "exports_state.open": Role.REVIEWER,
    "exports_state.choose_kind": Role.REVIEWER,
    "exports_state.choose_format": Role.REVIEWER,
    "exports_state.start": Role.REVIEWER,
    "exports_state.start_mine": Role.USER,
    "exports_state.remove": Role.USER,
    "exports_state.follow": Role.USER,
    "dialog_export_state.start": Role.USER,
    "admin_state.open": Role.ADMIN,
    "directory_state.check": Role.ADMIN,
    "directory_state.recheck": Role.ADMIN,
}

# what opens a page: whoever may not is sent home
OPENING = frozenset({"admin_state.open", "exports_state.open"})


def short_name(event_name: str) -> str:
    """`...genai_app___state___chat____chat_state.send` -> `chat_state.send`."""
    state, _, handler = event_name.rpartition(".")
    return f"{state.rpartition('.')[2].rpartition('____')[2]}.{handler}"


class Policy(rx.Middleware):
    """Runs before every handler, background and chained ones too."""

    def __init__(self, unavailable: dict[str, dict[str, str]]) -> None:
        """`unavailable`: the delta that tells the page that the database is away."""
        self._unavailable = unavailable

    async def preprocess(self, app: rx.App, state: BaseState, event: Event) -> StateUpdate | None:
        name = short_name(event.name)
        if name in PUBLIC:
            return None
        try:
            actor = await services().sessions.find_actor(session_token(state.router.headers.cookie))
        except StorageUnavailable:
            return StateUpdate(delta=self._unavailable)
        if actor is None:
            return StateUpdate(events=Event.from_event_type(rx.redirect("/login")))
        needed = NEEDS.get(name)
        if needed is None or not actor.has(needed):
            log.warning("handler.refused", handler=name[:120], user=actor.username)
            await services().audit.record_news(_refusal(actor, name[:120]))
            return StateUpdate(
                events=Event.from_event_type(rx.redirect("/")) if name in OPENING else []
            )
        act_as(actor)
        return None


def _refusal(actor: Actor, name: str) -> AuditEvent:
    return event(Action.ACCESS, Outcome.REFUSED, by=actor, target=name)
