"""What reaches the browser: case C10. A new var is shown to every client; it is added here on
purpose or not at all."""

import pytest

from genai_app.web.policy import short_name
from tests.cast import PASSWORDS
from tests.conftest import OpenPage
from tests.fakes.app_process import AppProcess
from tests.fakes.questions import question

SLOTS = {f"block_{i}" for i in range(48)} | {f"piece_{i}" for i in range(12)} | {"tail"}
VARS = {
    "state": {
        "dialog",
        "is_hydrated",
        "rx_router_headers",
        "rx_router_page",
        "rx_router_route_id",
        "rx_router_session",
        "rx_router_url",
        "section",
    },
    "chat_state": {
        "dialog_id",
        "error_code",
        "has_older",
        "loaded",
        "messages",
        "over_by",
        "send_id",
        "title",
    },
    "dialogs_state": {"deleting", "error_code", "groups", "has_more", "loaded", "renaming"},
    "login_state": {"error_code", "target"},
    "session_state": {"demo_model", "full_name", "role", "username"},
    "stream_state": SLOTS,
    "ui_state": {"locale", "locale_cookie", "sidebar_open"},
}
MESSAGE = {
    "author",
    "error_code",
    "id",
    "model",
    "seconds",
    "sibling",
    "siblings",
    "source",
    "status",
    "text",
    "time",
    "trimmed",
}


def seen(state: dict[str, dict[str, object]]) -> dict[str, set[str]]:
    return {short_name(f"{name}.")[:-1]: set(vars_) for name, vars_ in state.items() if vars_}


@pytest.mark.parametrize("who", ["alice", ""])
@pytest.mark.parametrize("path", ["/", "/c/00000000-0000-7000-8000-000000000000", "/login"])
async def test_only_known_vars_reach_the_client(who: str, path: str, open_page: OpenPage) -> None:
    """C10. The snapshot of var names of each page, before and after a login."""
    page = await open_page(who, path)
    assert seen(page.state) == VARS


async def test_an_answer_brings_no_other_vars(open_page: OpenPage) -> None:
    """C10. Rows hold what is drawn: no user id, no client id, no token counts, no owner."""
    page = await open_page("alice")
    await page.ask(question("tokens=40,delay=0.01"))
    assert seen(page.state) == VARS
    assert all(set(row) == MESSAGE for row in page.messages())
    groups = page.view("dialogs_state")["groups"]
    assert {key for group in groups for key in group} == {"period", "dialogs"}
    assert {key for group in groups for dialog in group["dialogs"] for key in dialog} == {
        "id",
        "title",
    }


async def test_no_secret_is_in_any_frame(open_page: OpenPage, app: AppProcess) -> None:
    """C10, B12. Neither cookie nor password nor the State's real token comes back to the page."""
    page = await open_page("alice")
    await page.ask(question("tokens=3"))
    await page.open(page.path)
    await page.open("/login")
    everything = "".join(frame.text for frame in page.frames)
    assert page.cookie
    for secret in (page.cookie, PASSWORDS["alice"], "genai_session", "password"):
        assert secret not in everything
    secret_key = (app.data_dir / "secret.key").read_text().strip()
    assert secret_key not in everything
