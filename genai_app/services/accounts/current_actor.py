"""Who the present event or request acts for. Set by the policy of the door it came through."""

from contextvars import ContextVar

from genai_app.access import Actor
from genai_app.errors import NotAuthenticated

_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def act_as(actor: Actor | None) -> None:
    """For the rest of this task."""
    _actor.set(actor)


def acting() -> Actor:
    """The actor of this task. Raises NotAuthenticated where no policy has let one in."""
    actor = _actor.get()
    if actor is None:
        raise NotAuthenticated
    return actor
