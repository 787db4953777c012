"""The user's API keys. The text of a new one is told to the page once and kept by no State."""

from datetime import timedelta

import reflex as rx
from reflex_base.constants.state import FIELD_MARKER
from reflex_base.event.context import EventContext

from genai_app import clock
from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.account.rows import KeyRow, key_row

KEY_NAME_ID = "key-name"
EXPIRY_DAYS = {"30": 30, "90": 90, "365": 365, "none": None}
MAX_NAME_CHARS = 1000  # what is read of a name; how long it may be is for the service to say


class KeysState(rx.State):
    """Keys, newest first, and the one that is about to be revoked."""

    keys: list[KeyRow] = []
    loaded: bool = False
    revoking: str = ""
    error_code: str = ""
    base_url: str = ""

    # Never assigned: `_show_new_key` writes it to the page past this State.
    new_key: str = ""

    async def _load(self) -> None:
        self.revoking = ""
        settings = services().settings
        # a public address that nobody has set is a guess; the one in the browser works
        self.base_url = (settings.public_url or self.router.url.origin or settings.url) + "/v1"
        try:
            keys = await services().keys.list(acting())
        except AppError as error:
            self.error_code = error.code
            return
        now = clock.now()
        self.error_code = ""
        self.keys = [key_row(key, now) for key in keys if key.revoked_at is None]
        self.loaded = True

    @rx.event
    @allowed(Role.USER)
    async def create(self, name: str, days: str):
        """Make a key and show it this one time."""
        await _show_new_key("")
        if not isinstance(name, str) or not isinstance(days, str) or days not in EXPIRY_DAYS:
            self.error_code = "invalid_input"
            return None
        kept_days = EXPIRY_DAYS[days]
        expires_at = clock.now() + timedelta(days=kept_days) if kept_days else None
        try:
            _, text = await services().keys.create(acting(), name[:MAX_NAME_CHARS], expires_at)
        except AppError as error:
            self.error_code = error.code
            return None
        await self._load()
        await _show_new_key(text)
        return rx.set_value(KEY_NAME_ID, "")

    @rx.event
    @allowed(Role.USER)
    async def forget(self):
        """Take the new key off the page."""
        await _show_new_key("")

    @rx.event
    @allowed(Role.USER)
    async def ask_revoke(self, key_id: str):
        await _show_new_key("")
        self.revoking = str(key_id)[:40]

    @rx.event
    @allowed(Role.USER)
    def cancel(self):
        self.revoking = ""

    @rx.event
    @allowed(Role.USER)
    async def revoke(self, key_id: str):
        try:
            await services().keys.revoke(acting(), key_id)
        except AppError as error:
            self.error_code = error.code
            self.revoking = ""
            return
        await self._load()


_NEW_KEY = "new_key" + FIELD_MARKER


async def _show_new_key(text: str) -> None:
    """Show `text` as the new key on the page of this event, past its State."""
    await EventContext.get().emit_delta({KeysState.get_full_name(): {_NEW_KEY: text}})
