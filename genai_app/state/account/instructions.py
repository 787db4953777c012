"""The user's own instructions for the model."""

import reflex as rx

from genai_app.access import Actor
from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.accounts.instructions import MAX_CHARS

MOST_CHARS = MAX_CHARS
READ_CHARS = 20_000  # of a longer text: how long it may be is for the service to say


class InstructionsState(rx.State):
    """The instructions as they are saved. `saves`: how often they were since the page was opened;
    0 shows no confirmation."""

    text: str = ""
    saves: int = 0
    error_code: str = ""
    over_by: int = 0  # characters

    def _show(self, actor: Actor) -> None:
        self.text, self.saves, self.error_code = actor.instructions, 0, ""

    @rx.event
    @allowed(Role.USER)
    async def save(self, text: str):
        """Saves the text of the field; an empty one clears the instructions."""
        if not isinstance(text, str):
            self.error_code = "invalid_input"
            return
        try:
            self.text = await services().instructions.save(acting(), text[:READ_CHARS])
        except AppError as error:
            self.error_code, self.saves = error.code, 0
            self.over_by = int(str(error.params.get("over_by", 0)))
            return
        self.error_code = ""
        self.saves += 1
