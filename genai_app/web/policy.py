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

# What Reflex itself needs to open a page, and what the login and the lost page show.
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
        "ui_state.open",
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
    "feedback_state.rate": Role.USER,
    "feedback_state.begin": Role.USER,
    "feedback_state.choose": Role.USER,
    "feedback_state.comment": Role.USER,
    "feedback_state.close": Role.USER,
    "search_state.find": Role.USER,
    "search_state.more": Role.USER,
    "search_state.clear": Role.USER,
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
    "admin_state.open": Role.REVIEWER,
    "overview_state.choose": Role.REVIEWER,
    "overview_state.watch": Role.REVIEWER,
    "verified_state.open": Role.REVIEWER,
    "verified_state.show": Role.REVIEWER,
    "verified_state.more": Role.REVIEWER,
    "verified_state.begin": Role.REVIEWER,
    "verified_state.ask_retire": Role.REVIEWER,
    "verified_state.cancel": Role.REVIEWER,
    "verified_state.change": Role.REVIEWER,
    "verified_state.retire": Role.REVIEWER,
    "verified_form_state.write": Role.REVIEWER,
    "verified_form_state.open": Role.REVIEWER,
    "verified_form_state.close": Role.REVIEWER,
    "readers_state.load_more": Role.USER,
    "review_dialog_state.open": Role.REVIEWER,
    "review_dialog_state.show": Role.REVIEWER,
    "review_dialog_state.leave": Role.REVIEWER,
    "review_dialog_state.load_older": Role.REVIEWER,
    "review_dialog_state.choose_answer": Role.REVIEWER,
    "review_dialog_state.take": Role.REVIEWER,
    "review_dialog_state.close": Role.REVIEWER,
    "review_dialog_state.reopen": Role.REVIEWER,
    "review_dialog_state.judge": Role.REVIEWER,
    "review_dialog_state.add_note": Role.REVIEWER,
    "review_dialog_state.reveal": Role.REVIEWER,
    "review_list_state.choose": Role.REVIEWER,
    "review_list_state.apply": Role.REVIEWER,
    "review_list_state.clear": Role.REVIEWER,
    "review_list_state.load_more": Role.REVIEWER,
    "review_list_state.move": Role.REVIEWER,
    "review_keys_state.toggle": Role.REVIEWER,
    "review_keys_state.press": Role.REVIEWER,
    "exports_state.open": Role.REVIEWER,
    "exports_state.choose_kind": Role.REVIEWER,
    "exports_state.choose_format": Role.REVIEWER,
    "exports_state.start": Role.REVIEWER,
    "exports_state.start_mine": Role.USER,
    "exports_state.cancel": Role.USER,
    "exports_state.remove": Role.USER,
    "exports_state.follow": Role.USER,
    "dialog_export_state.start": Role.USER,
    "directory_state.check": Role.ADMIN,
    "directory_state.recheck": Role.ADMIN,
    "audit_state.open": Role.ADMIN,
    "audit_state.choose": Role.ADMIN,
    "audit_state.load_more": Role.ADMIN,
    "chain_state.verify": Role.ADMIN,
    "people_state.open": Role.ADMIN,
    "people_state.choose": Role.ADMIN,
    "people_state.load_more": Role.ADMIN,
    "person_state.show": Role.ADMIN,
    "person_state.close": Role.ADMIN,
    "person_state.give_role": Role.ADMIN,
    "person_state.give_limit": Role.ADMIN,
    "person_state.move": Role.ADMIN,
    "person_state.disable": Role.ADMIN,
    "person_state.enable": Role.ADMIN,
    "person_state.end_login": Role.ADMIN,
    "person_state.end_logins": Role.ADMIN,
    "person_state.revoke": Role.ADMIN,
}

# what opens a page: whoever may not is sent home
OPENING = frozenset(
    {
        "admin_state.open",
        "audit_state.open",
        "exports_state.open",
        "people_state.open",
        "review_dialog_state.open",
        "verified_state.open",
    }
)


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
