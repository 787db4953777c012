"""The keyboard of the review page."""

import reflex as rx

from genai_app.models import Verdict
from genai_app.services import services
from genai_app.state.review_dialog import NOTE_ID, ReviewDialogState
from genai_app.state.review_list import ReviewListState

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
    """Whether the keys are explained."""

    shown: bool = False

    @rx.event
    def toggle(self):
        self.shown = not self.shown

    @rx.event
    async def press(self, key: str):
        """What a key does, where no field has the focus. One after the other, however fast."""
        deed = DEEDS.get(key) if isinstance(key, str) else None
        listed = await self.get_state(ReviewListState)
        dialog = await self.get_state(ReviewDialogState)
        reviews = services().reviews
        if deed == "help":
            self.shown = not self.shown
        elif deed == "back" and self.shown:
            self.shown = False
        elif deed == "back":
            dialog._show_nothing()
        elif deed in ("next", "previous"):
            listed._move(1 if deed == "next" else -1)
        elif deed == "show" and 0 <= listed.at < len(listed.rows):
            await dialog._open_row(listed.rows[listed.at].id)
        elif deed == "take":
            await dialog._do(reviews.take)
        elif deed == "close":
            await dialog._do(reviews.close)
        elif deed == "judge":
            await dialog._judge(dialog._last_answer(), VERDICTS[key])
        elif deed == "note" and dialog.dialog_id:
            return rx.set_focus(NOTE_ID)
        return None
