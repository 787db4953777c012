"""Thumbs under the answers of the dialog on the screen, and the reason that is being given."""

import uuid

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Rating, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.dialogs.feedback import MAX_COMMENT_CHARS, Opinion


class FeedbackState(rx.State):
    """By the id of the answer: what the user said of it. `opened`: the one whose reason is asked
    for. A State of its own, so that a thumb does not send all messages again."""

    ratings: dict[str, str] = {}
    reasons: dict[str, str] = {}
    comments: dict[str, str] = {}
    opened: str = ""
    error_code: str = ""

    def _show(self, opinions: dict[uuid.UUID, Opinion]) -> None:
        self.ratings = {str(key): str(each.rating) for key, each in opinions.items()}
        self.reasons = {str(key): each.reason for key, each in opinions.items()}
        self.comments = {str(key): each.comment for key, each in opinions.items()}
        if self.opened not in self.ratings:
            self.opened = ""
        self.error_code = ""

    @rx.event
    @allowed(Role.USER)
    async def rate(self, answer_id: str, rating: str):
        """Praise or blame; the same again takes it back."""
        if not isinstance(answer_id, str) or rating not in tuple(Rating):
            self.error_code = "invalid_input"
            return
        again = self.ratings.get(answer_id) == rating
        if await self._give(answer_id, None if again else rating):
            self.opened = answer_id if rating == Rating.DOWN and not again else ""

    @rx.event
    @allowed(Role.USER)
    def begin(self, answer_id: str):
        """Ask for the reason of a bad answer."""
        self.opened = answer_id if self.ratings.get(str(answer_id)[:40]) == Rating.DOWN else ""
        self.error_code = ""

    @rx.event
    @allowed(Role.USER)
    async def choose(self, answer_id: str, reason: str):
        """The reason; the same again takes it back."""
        if not isinstance(answer_id, str) or not isinstance(reason, str):
            self.error_code = "invalid_input"
            return
        again = self.reasons.get(answer_id) == reason
        comment = self.comments.get(answer_id, "")
        await self._give(answer_id, Rating.DOWN, "" if again else reason[:40], comment)

    @rx.event
    @allowed(Role.USER)
    async def comment(self, answer_id: str, text: str):
        if not isinstance(answer_id, str) or not isinstance(text, str):
            self.error_code = "invalid_input"
            return
        reason = self.reasons.get(answer_id, "")
        cut = text[: MAX_COMMENT_CHARS + 1]
        if await self._give(answer_id, Rating.DOWN, reason, cut):
            self.opened = ""

    @rx.event
    @allowed(Role.USER)
    def close(self):
        self.opened = ""
        self.error_code = ""

    async def _give(
        self, answer_id: str, rating: str | None, reason: str = "", comment: str = ""
    ) -> bool:
        """Keep it and show what is kept; whether it is."""
        self.error_code = ""
        try:
            opinion = await services().feedback.give(
                acting(), answer_id, rating, reason=reason, comment=comment
            )
        except AppError as error:
            self.error_code = error.code
            return False
        self.ratings[answer_id] = str(opinion.rating) if opinion else ""
        self.reasons[answer_id] = opinion.reason if opinion else ""
        self.comments[answer_id] = opinion.comment if opinion else ""
        return True
