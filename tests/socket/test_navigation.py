"""Addresses that follow each other faster than a page opens: the last one is shown, and whole."""

import asyncio
from typing import Any

import pytest

from tests.conftest import OpenPage
from tests.fakes.page_client import PageClient
from tests.fakes.questions import question

GAPS_S = [step / 500 for step in range(20)]  # a handler takes some 20 ms

# page, address that shows rows, address that shows none, the State and var of the rows
PAGES = [
    ("/admin/dialogs", "", "?state=closed&query=nothing-of-it", "review_list_state", "rows"),
    ("/admin/audit", "?action=login", "?action=login&target=nobody", "audit_state", "rows"),
    ("/admin/users", "", "?search=nobody-of-that-name", "people_state", "rows"),
]


async def settled(page: PageClient) -> None:
    page.view("state")["is_hydrated"] = False
    await page.wait_for(lambda: page.view("state")["is_hydrated"])
    await page.round_trip()


@pytest.mark.parametrize(("path", "full", "empty", "state", "var"), PAGES)
async def test_back_and_forward_in_haste(
    path: str, full: str, empty: str, state: str, var: str, open_page: OpenPage
) -> None:
    """A later address cancels the handler that opens an earlier one, wherever that has come to."""
    alice = await open_page("alice")
    await alice.ask(question("tokens=3"))
    page = await open_page("carol", path + full)

    def rows() -> list[Any]:
        return page.view(state)[var]

    assert rows()
    for gap_s in GAPS_S:
        await page.navigate(path + empty)
        await settled(page)
        assert rows() == []
        await page.navigate(path + full)
        await asyncio.sleep(gap_s)
        await page.navigate(path + full)
        await settled(page)
        assert rows()
