"""Admission to the review: reviewers only, and only while the review is on."""

from typing import NoReturn

from genai_app.access import Actor
from genai_app.errors import Forbidden
from genai_app.models import Role
from genai_app.services.audit.events import Action, Audit, Outcome, event
from genai_app.services.review.names import Mode


class Admission:
    """Admits reviewers and audits refusals.

    Args:
        mode: GENAI_REVIEW_MODE.
    """

    def __init__(self, audit: Audit, mode: Mode) -> None:
        self._audit = audit
        self._mode = mode

    async def check(self, actor: Actor, target: str = "reviews") -> None:
        """Raises Forbidden, audited: the actor is no reviewer, or the review is off."""
        if not actor.has(Role.REVIEWER):
            await self._refuse(actor, target, Forbidden.default_code)
        if self._mode == "off":
            await self._refuse(actor, target, "review_off")

    async def record_refusal(self, actor: Actor, target: str, code: str) -> None:
        """Adds the refusal to the audit."""
        row = event(Action.ACCESS, Outcome.REFUSED, by=actor, target=target, reason=code)
        await self._audit.record_news(row)

    async def _refuse(self, actor: Actor, target: str, code: str) -> NoReturn:
        await self.record_refusal(actor, target, code)
        raise Forbidden(code=code)
