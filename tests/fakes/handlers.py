"""Every handler that a websocket client may name, from the registry of the product itself."""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from genai_app.web.policy import short_name

# what anybody may ask, or a form of the browser posts
OPEN_PATHS = frozenset(
    {
        *("/login", "/logout", "/token", "/token/refresh", "/healthz", "/readyz", "/metrics"),
        "/settings/password",  # as /login: it leads there without a cookie
        *("/openapi.json", "/docs", "/docs/start.js", "/docs/{name}"),
    }
)


@cache
def registered() -> dict[str, Any]:
    """All handlers by full name, Reflex's own among them, as its RegisteredEventHandler."""
    os.environ["__REFLEX_SKIP_COMPILE"] = "true"  # as server/serve.py: no front end is built here
    from reflex_base.registry import RegistrationContext

    from genai_app.app import app  # noqa: F401 - registers the States

    return dict(RegistrationContext.get().event_handlers)


def full_name(name: str) -> str:
    """`conversation_state.send` -> the name on the wire. A name that is full already stays."""
    if name in registered():
        return name
    found = [each for each in registered() if short_name(each) == name]
    if len(found) != 1:
        raise KeyError(f"{name}: {found or 'no such handler'}")
    return found[0]


@cache
def state_name(name: str) -> str:
    """`chat_state` -> the State's name on the wire."""
    states = {each.rpartition(".")[0] for each in registered()}
    found = [each for each in states if short_name(f"{each}.x") == f"{name}.x"]
    if len(found) != 1:
        raise KeyError(f"{name}: {found or 'no such State'}")
    return found[0]


def http_paths() -> list[tuple[str, frozenset[str]]]:
    """Every path of the API with its methods."""
    registered()
    from genai_app.app import http_routes

    found: dict[str, frozenset[str]] = {}
    for path, methods in _walk(http_routes().routes):
        found[path] = found.get(path, frozenset()) | methods
    return sorted(found.items())


def _walk(routes: Iterable[Any]) -> Iterator[tuple[str, frozenset[str]]]:
    for route in routes:
        if hasattr(route, "original_router"):  # FastAPI keeps included routers as they are
            yield from _walk(route.original_router.routes)
        elif getattr(route, "methods", None):
            yield route.path, frozenset(route.methods)
