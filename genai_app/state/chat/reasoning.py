"""The model's reasoning on the page: the switch by the composer, and thoughts that are opened."""

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.chat.reasoning import Sampling, reasoning_parameters

OPENED = 8  # answers whose thoughts a page keeps


class ReasoningState(rx.State):
    """The switch, where the model's reasoning can be turned off, and thoughts by answer.

    A page gets the thoughts of a finished answer when they are opened: they are longer than it.
    """

    offered: bool = False
    on: bool = True
    texts: dict[str, str] = {}

    # "on" or "off" where the user turned the switch; kept by the browser, which may send anything
    choice: str = rx.LocalStorage("", name="genai_reasoning")

    async def _refresh(self) -> None:
        """Looks again whether the switch is offered."""
        switch = services().chat.reasoning
        self.offered = await switch.is_offered()
        self.on = self.choice == "on" if self.choice in ("on", "off") else switch.is_on

    def _sampling(self) -> Sampling:
        """Returns what the next question sends to the model server."""
        if not self.offered or self.choice not in ("on", "off"):
            return ()
        return reasoning_parameters(self.choice == "on")

    @rx.event
    @allowed(Role.USER)
    def toggle(self):
        """Turn the switch for the questions that follow."""
        self.on = not self.on
        back = self.on == services().chat.reasoning.is_on
        self.choice = "" if back else "on" if self.on else "off"

    @rx.event
    @allowed(Role.USER)
    async def show(self, message_id: str):
        """Load the thoughts of an answer that is opened."""
        if not isinstance(message_id, str) or message_id in self.texts:
            return
        try:
            text = await services().history.get_reasoning(acting(), message_id)
        except AppError:
            return  # it is gone: the next load of the page shows that
        kept = list(self.texts.items())[1 - OPENED :]
        self.texts = {**dict(kept), message_id: text}
