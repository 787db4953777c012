"""The actor of the current event or request, set by the channel's check of access."""

from contextvars import ContextVar

from genai_app.access import Actor
from genai_app.errors import NotAuthenticated

_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def act_as(actor: Actor | None) -> None:
    """Sets the actor for the rest of this asyncio task."""
    _actor.set(actor)


def acting() -> Actor:
    """Returns the actor of this task. Raises NotAuthenticated when none is set."""
    actor = _actor.get()
    if actor is None:
        raise NotAuthenticated
    return actor
