"""The keyboard of the review page."""

import reflex as rx

from genai_app.models import Author, Role, Verdict
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.state.review.dialog import ReviewDialogState
from genai_app.state.review.list import ReviewListState
from genai_app.state.review.work import NOTE_ID, ReviewWorkState

VERDICTS = dict(zip("1234", Verdict, strict=True))
# by key, also on a Russian keyboard
ACTIONS = {
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
KEYS = tuple(ACTIONS)


class ReviewKeysState(rx.State):
    """The keys of the page. `shown`: the help for them is open."""

    shown: bool = False

    @rx.event
    @allowed(Role.REVIEWER)
    def toggle(self):
        self.shown = not self.shown

    @rx.event
    @allowed(Role.REVIEWER)
    async def press(self, key: str):
        """Runs the action of a key. The page sends keys only while no field has the focus. Fast
        keys run one after the other."""
        action = ACTIONS.get(key) if isinstance(key, str) else None
        listed = await self.get_state(ReviewListState)
        dialog = await self.get_state(ReviewDialogState)
        work = await self.get_state(ReviewWorkState)
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
            await work._change(services().review_work.take)
        elif action == "close":
            await work._change(services().review_work.close)
        elif action == "judge":
            answers = [row.id for row in dialog.messages if row.author == Author.ASSISTANT]
            await work._judge(answers[-1] if answers else "", VERDICTS[key])
        elif action == "note" and dialog.dialog_id:
            return rx.set_focus(NOTE_ID)
        return None
