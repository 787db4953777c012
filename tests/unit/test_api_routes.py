"""Every route of the API says who may call it and what it does. Fast: nothing is started."""

import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from fastapi.routing import APIRoute

from genai_app.access import Actor
from genai_app.api import routes
from genai_app.web.frontend import PROGRAMS
from tests.fakes.handlers import OPEN_PATHS

ROUTES = [
    route for router in routes.ROUTERS for route in router.routes if isinstance(route, APIRoute)
]
PACKAGE = Path(routes.__file__).parent
DOCS = re.sub(
    r"{\w+}",
    "{}",
    "".join(path.read_text() for path in (PACKAGE.parents[1] / "docs").glob("*.md")),
)


def is_documented(path: str) -> bool:
    """Returns whether the documents name a path: whole, or its end alone beside a like one."""
    ends = [match.start() for match in re.finditer("/", path)]
    return path in DOCS or any(f"`{path[end:]}`" in DOCS and path[:end] in DOCS for end in ends[2:])


def test_every_router_is_listed() -> None:
    routers = {
        path for path in PACKAGE.rglob("*.py") if re.search(r"^router = ", path.read_text(), re.M)
    }
    assert len(routers) == len(routes.ROUTERS)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{min(route.methods)} {route.path}")
def test_a_route_names_its_caller_and_is_described(route: Any) -> None:
    """What the paths of programs are, the front end must know: they get no page."""
    if route.path not in OPEN_PATHS:
        assert Actor in get_type_hints(route.endpoint).values()
        assert PROGRAMS.match(route.path)
        assert route.summary
    if route.include_in_schema:
        assert is_documented(re.sub(r"{\w+(:\w+)?}", "{}", route.path))
