"""The rest of the user's limit. A State of its own, so that nothing else is drawn again."""

import asyncio

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.limits.rate import Budget
from genai_app.state.chat.dialog import ChatState
from genai_app.state.presence import Page

LOW_SHARE = 3  # under a third of the limit the page says what is left
LONGEST_SLEEP_S = 60.0
SHORTEST_SLEEP_S = 0.2
AFTER_RESET_S = 0.05


class LimitState(rx.State):
    """Questions left, and when the next one comes back. The page itself counts the seconds down."""

    limit: int = 0
    remaining: int = 0
    low: bool = False
    wait: int = 0
    wait_unit: str = ""  # `seconds`, `minutes` or `hours`; "" when nothing is to come back
    shown: int = 0  # how often it was shown: each time the countdown begins anew

    _reset_s: float = 0.0

    def _show(self, budget: Budget) -> None:
        self.limit, self.remaining = budget.limit, budget.remaining
        self.low = is_low(budget)
        self.wait, self.wait_unit = until(budget.reset_s)
        self._reset_s = budget.reset_s
        self.shown += 1

    async def _refresh(self, budget: Budget | None = None):
        """Show `budget`, or look. Returns the event that waits for a refill, where one may come."""
        try:
            self._show(budget or await services().limits.look(acting()))
        except AppError:  # the line is a comfort; what fails for the same cause says so itself
            return None
        return LimitState.watch if self.low else None

    @rx.event(background=True, supersedes=True)
    @allowed(Role.USER)
    async def watch(self):
        """While little is left: sleep until something comes back, then show it."""
        actor, page = acting(), Page()
        async with self:
            reset_s = self._reset_s
        while True:
            await asyncio.sleep(
                min(max(reset_s, SHORTEST_SLEEP_S) + AFTER_RESET_S, LONGEST_SLEEP_S)
            )
            if not page.is_there:
                return
            try:
                budget = await services().limits.look(actor)
            except AppError:
                continue
            reset_s = budget.reset_s
            async with self:
                self._show(budget)
                chat = await self.get_state(ChatState)
                if budget.remaining > 0 and chat.error_code == "limit_reached":
                    chat.error_code = ""
            if not is_low(budget):
                return


def is_low(budget: Budget) -> bool:
    return budget.remaining * LOW_SHARE < budget.limit


def until(reset_s: float) -> tuple[int, str]:
    """A number and its unit, rounded up: 12.2 s are 13 seconds, 61 s are 2 minutes."""
    if reset_s <= 0:
        return 0, ""
    for unit_s, most, name in ((1, 90, "seconds"), (60, 90, "minutes")):
        count = int(-(-reset_s // unit_s))
        if count <= most:
            return count, name
    return int(-(-reset_s // 3600)), "hours"
