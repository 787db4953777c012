"""What reaches the browser. A new var is shown to every client; it is added here on
purpose or not at all."""

import re

import pytest

from genai_app.state.chat.live_reasoning import FACTS, text_slots
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
        "most_answers",
        "over_by",
        "send_id",
        "title",
        "wait_s",
        *("at", "file_names", "marks", "refused"),
    },
    "earlier_state": {
        *("first", "gap_from", "gap_to", "has_older", "skipped"),
        *(f"{kind}_{number}" for kind in ("far", "near") for number in range(60)),
    },
    "tab_state": {"beat"},
    "dialogs_state": {
        *("archive", "archive_has_more", "archive_open", "count", "empty", "error_code"),
        *("folders", "has_archive", "has_more", "key_folders", "loaded", "pinned", "renaming"),
        *(f"part_{number}" for number in range(100)),
    },
    "keys_state": {"base_url", "error_code", "keys", "loaded", "new_key", "revoking"},
    "limit_state": {"limit", "low", "remaining", "shown", "wait", "wait_unit"},
    "login_state": {"contact", "error_code", "target", "wait"},
    "branch_state": {"accepted", "declined", "edited", "edited_files"},
    "draft_files_state": {"files", "limit_mb"},
    "dialog_files_state": {"error_code", "files", "loaded"},
    "my_files_state": {
        *("count", "deleting", "error_code", "files", "has_more", "loaded", "most", "most_unit"),
        *("percent", "used", "used_unit"),
    },
    "preview_state": {"error_code", "loaded", "shown"},
    "logins_state": {"error_code", "loaded", "logins"},
    "feedback_state": {"comments", "error_code", "opened", "ratings", "reasons"},
    "folders_state": {"deleting", "renaming"},
    "undo_state": {"done", "shown"},
    "palette_state": {"commands", "error_code", "hits", "query"},
    "queued_state": {"dialog_id", "edited_text", "editing", "error_code", "questions"},
    "search_state": {"cursor", "error_code", "hits", "query"},
    "verified_state": {
        "cursor",
        "editing",
        "error_code",
        "loaded",
        "retiring",
        "rows",
        "which",
    },
    "verified_form_state": {"days", "error_code", "opened", "saved"},
    "session_state": {"demo_model", "full_name", "role", "user_key", "username"},
    "imports_state": {"error_code", "imports"},
    "instructions_state": {"error_code", "over_by", "saves", "text"},
    "settings_state": {"has_password", "loaded", "password_changed", "password_error"},
    "admin_state": {"directory", "loaded"},
    "directory_state": {
        "alarms",
        "checking",
        "ended",
        "error_code",
        "failed",
        "rechecked",
        "steps",
        "warnings",
    },
    "audit_state": {
        *("action", "actor", "error_code", "has_more", "loaded", "outcome", "rows", "since"),
        *("target", "until"),
    },
    "chain_state": {"checked", "checking", "error_code", "head", "holds", "sentence"},
    "overview_state": {
        *("answers", "bars", "by_department", "by_model", "cache_share", "department"),
        *("departments", "error_code", "failed", "first_label", "first_p50", "first_p95"),
        *("health", "highest", "last_label", "limits_hit", "loaded", "model", "model_time"),
        *("models", "period", "saved_time", "tokens", "total_p50", "total_p95", "users"),
    },
    "people_state": {
        *("error_code", "has_more", "loaded", "query", "role", "rows", "search", "shown"),
    },
    "person_state": {
        *("error_code", "id", "keys", "last", "limit", "logins", "mail", "own", "questions"),
        *("login_wait", "reason", "row", "tokens"),
    },
    "messengers_state": {
        *("available", "error_code", "expired", "link_qr", "link_text", "link_url", "linked"),
        "links",
    },
    "readers_state": {"error_code", "has_more", "loaded", "readers"},
    "review_dialog_state": {
        *("dialog_id", "error_code", "has_older", "head", "loaded", "messages", "notes", "own"),
        *("instructions", "revealed"),
    },
    "review_file_state": {"dialog_id", "error_code", "loaded", "shown"},
    "review_keys_state": {"shown"},
    "review_list_state": {
        *("at", "chosen", "departments", "error_code", "has_more", "loading", "mode", "narrowed"),
        *("query", "rows"),
    },
    "exports_state": {
        *("error_code", "exports", "format", "kind", "loaded", "names_hidden", "page_loaded"),
        *("review_off", "with_reasoning"),
    },
    "dialog_export_state": {"error_code", "making", "with_reasoning"},
    "reasoning_state": {"choice", "offered", "on", "texts"},
    "stream_state": SLOTS | {"place", "tail_plain", *text_slots(), *FACTS},
    "ui_state": {"locale", "locale_cookie", "sidebar_open"},
}
MESSAGE = {
    *("files", "thought", "thought_s", "used"),
    *("author", "error_code", "error_over_chars", "error_reason", "error_what"),
    *("is_blank", "left_plain", "shown"),
    *("can_go_on", "is_long", "variant"),
    "id",
    "made",
    "made_unit",
    "model",
    "seconds",
    "sibling",
    "siblings",
    "source",
    "status",
    "text",
    "time",
    "trimmed",
    "verified_by",
    "verified_until",
}


def seen(state: dict[str, dict[str, object]]) -> dict[str, set[str]]:
    return {short_name(f"{name}.")[:-1]: set(vars_) for name, vars_ in state.items() if vars_}


@pytest.mark.parametrize("who", ["alice", ""])
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/c/00000000-0000-7000-8000-000000000000", "/settings", "/login"),
        *("/admin", "/admin/dialogs"),
    ],
)
async def test_only_known_vars_reach_the_client(who: str, path: str, open_page: OpenPage) -> None:
    """The snapshot of var names of each page, before and after a login."""
    page = await open_page(who, path)
    assert seen(page.state) == VARS


async def test_an_answer_brings_no_other_vars(open_page: OpenPage) -> None:
    """Rows hold what is drawn: no user id, no client id, no token counts, no owner."""
    page = await open_page("alice")
    await page.ask(question("tokens=40,delay=0.01"))
    assert seen(page.state) == VARS
    assert all(set(row) == MESSAGE for row in page.messages())
    groups = page.view("dialogs_state")["part_0"]
    assert {key for group in groups for key in group} == {"period", "dialogs", "goes_on"}
    assert {key for group in groups for dialog in group["dialogs"] for key in dialog} == {
        *("folder_id", "id", "title"),
    }


async def test_a_new_key_is_told_once(
    open_page: OpenPage, newcomer: tuple[str, str], app: AppProcess
) -> None:
    """Its text goes to the page that made it, in one frame; no State keeps it."""
    page = await open_page(path="")
    await page.log_in(*newcomer)
    await page.open("/settings")
    begin = len(page.frames)
    await page.send_event("keys_state.create", name="nightly", days="30")
    key = str(await page.wait_for(lambda: page.view("keys_state")["new_key"]))
    assert len(key) > 40
    row = (await page.wait_for(lambda: page.view("keys_state")["keys"]))[0]
    assert set(row) == {"id", "name", "hint", "created", "used", "expires", "expired"}
    assert row["name"] == "nightly"
    assert key.startswith(row["hint"])
    assert len(row["hint"]) < 12
    assert sum(key in frame.text for frame in page.frames[begin:]) == 1

    await page.send_event("keys_state.forget")
    await page.wait_for(lambda: page.view("keys_state")["new_key"] == "")
    begin = len(page.frames)
    await page.open("/settings")
    assert page.view("keys_state")["new_key"] == ""
    assert key not in "".join(frame.text for frame in page.frames[begin:])
    assert key not in app.log_text()
    login = page.view("logins_state")["logins"][0]
    assert set(login) == {"id", "channel", "device", "address", "since", "current"}
    assert login["current"]


async def test_no_secret_is_in_any_frame(open_page: OpenPage, app: AppProcess) -> None:
    """Neither cookie nor password nor the State's real token comes back to the page."""
    page = await open_page("alice")
    await page.ask(question("tokens=3"))
    await page.open(page.path)
    await page.open("/login")
    everything = "".join(frame.text for frame in page.frames)
    assert page.cookie
    for secret in (page.cookie, PASSWORDS["alice"], "genai_session"):
        assert secret not in everything
    # only names of vars bear the word: whether there is a password, and what became of a change
    names = ("has_password", "password_changed", "password_error")
    assert "password" not in re.sub("|".join(names), "", everything)
    secret_key = (app.data_dir / "secret.key").read_text().strip()
    assert secret_key not in everything
