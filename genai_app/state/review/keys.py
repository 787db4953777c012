"""The keyboard of the review page."""

import reflex as rx

from genai_app.models import Role, Verdict
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.state.review.dialog import NOTE_ID, ReviewDialogState
from genai_app.state.review.list import ReviewListState

VERDICTS = dict(zip("1234", Verdict, strict=True))
# by key, on a Russian keyboard too
DEEDS = {
    **dict.fromkeys(("j", "о", "ArrowDown"), "next"),
    **dict.fromkeys(("k", "л", "ArrowUp"), "previous"),
    "Enter": "show",
    "Escape": "back",
    **dict.fromkeys(("t", "е"), "take"),
    **dict.fromkeys(("c", "с"), "close"),
    **dict.fromkeys(("n", "т"), "note"),
    "?": "help",
    **dict.fromkeys(VERDICTS, "judge"),
}
KEYS = tuple(DEEDS)


class ReviewKeysState(rx.State):
    """The help for the keys: open or not."""

    shown: bool = False

    @rx.event
    @allowed(Role.REVIEWER)
    def toggle(self):
        self.shown = not self.shown

    @rx.event
    @allowed(Role.REVIEWER)
    async def press(self, key: str):
        """Does what a key stands for, where no field has the focus; one after the other, however
        fast."""
        action = DEEDS.get(key) if isinstance(key, str) else None
        listed = await self.get_state(ReviewListState)
        dialog = await self.get_state(ReviewDialogState)
        if action == "help":
            self.shown = not self.shown
        elif action == "back" and self.shown:
            self.shown = False
        elif action == "back":
            dialog._show_nothing()
            return await dialog._go()
        elif action in ("next", "previous"):
            listed._move(1 if action == "next" else -1)
        elif action == "show" and 0 <= listed.at < len(listed.rows):
            await dialog._open_row(listed.rows[listed.at].id)
            return await dialog._go()
        elif action == "take":
            await dialog._do(services().review_work.take)
        elif action == "close":
            await dialog._do(services().review_work.close)
        elif action == "judge":
            await dialog._judge(dialog._last_answer(), VERDICTS[key])
        elif action == "note" and dialog.dialog_id:
            return rx.set_focus(NOTE_ID)
        return None
