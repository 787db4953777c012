"""Roles that the handlers of pages need: declared at the handler, enforced by web/policy.py.

Any client of the socket may name any handler, whether or not a page shows it. What declares
nothing is refused.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from genai_app.models import Role

Handler = TypeVar("Handler", bound=Callable[..., object])

EVERYBODY = None  # also before a login
NEEDED_ROLES: dict[str, Role] = {}  # by handler: `people_state.disable`
PUBLIC_HANDLERS: set[str] = set()

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def allowed(role: Role | None) -> Callable[[Handler], Handler]:
    """Lets users of a role, and of the roles above it, call a handler. Stands below `@rx.event`."""

    def declare(handler: Handler) -> Handler:
        key = handler_name(handler)
        if role is None:  # EVERYBODY
            PUBLIC_HANDLERS.add(key)
        else:
            NEEDED_ROLES[key] = role
        return handler

    return declare


def handler_name(handler: Callable[..., object]) -> str:
    """Returns `people_state.disable` for `PeopleState.disable`."""
    state, _, name = handler.__qualname__.rpartition(".")
    return f"{_CAPITAL.sub('_', state).lower()}.{name}"
