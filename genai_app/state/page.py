"""The frame of every page of a user who is logged in: the data around the page's own."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

import reflex as rx

from genai_app.services.accounts.current_actor import acting
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.dialogs import DialogsState
from genai_app.state.chat.limits import LimitState
from genai_app.state.chat.search import SearchState
from genai_app.state.session import SessionState
from genai_app.state.tab import TabState
from genai_app.state.ui import UiState

MAX_PART = 64


async def stays(state: rx.State) -> bool:
    """Returns whether the page was on the screen already, at another of its addresses.

    Once for each opening: a later navigation cancels a handler that still opens a page, and what
    that one has loaded by half must not count as being on the screen. `open_page` notes the end.
    """
    ui = await state.get_state(UiState)
    stayed, ui._page = ui._page == _name_of(state), ("", "")
    return stayed


def address(path: str, values: Mapping[str, str]) -> str:
    """`path` with a query of those `values` that are not empty."""
    query = urlencode({name: value for name, value in values.items() if value})
    return f"{path}?{query}" if query else path


def query_of(state: rx.State, names: Iterable[str], longest: int) -> dict[str, str]:
    """Returns the value of each of `names` in the page's address; "" for a missing one."""
    query = state.router.url.query_parameters
    return {name: str(query.get(name, ""))[:longest] for name in names}


def refilled(
    ids: Mapping[str, str], before: Mapping[str, str], after: Mapping[str, str]
) -> list[rx.event.EventSpec]:
    """Returns the events that put the values of `after` into the fields with these `ids`, by name.

    A field that was empty and stays so is left alone: somebody may be typing into it already.
    """
    return [
        rx.set_value(key, after[name]) for name, key in ids.items() if before[name] or after[name]
    ]


def part_of(state: rx.State, page: str) -> str:
    """Returns the part of the address below `page`: an id, or nothing."""
    return state.router.url.path.removeprefix(page).strip("/")[:MAX_PART]


def _name_of(state: rx.State) -> tuple[str, str]:
    return type(state).get_full_name(), state.router.session.session_id


async def open_page(state: rx.State, *more: rx.event.EventType[()]):
    """Build the frame of a page from cookie and database, for the handler that opens it. Returns
    what that handler has to return: the events that follow, with `more` of the page's own."""
    ui = await state.get_state(UiState)
    ui._settle()
    (await state.get_state(SessionState))._show(acting())
    await (await state.get_state(ChatState))._leave()
    emptied = (await state.get_state(SearchState))._settle()
    await (await state.get_state(DialogsState))._load()
    watch = await (await state.get_state(LimitState))._refresh()
    ui._page = _name_of(state)
    return [event for event in (*more, emptied, watch, TabState.watch) if event is not None]
