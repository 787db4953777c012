"""What every page of somebody who is logged in shows beside its own."""

import reflex as rx

from genai_app.services.acting import acting
from genai_app.state.chat import ChatState
from genai_app.state.dialogs import DialogsState
from genai_app.state.limits import LimitState
from genai_app.state.search import SearchState
from genai_app.state.session import SessionState
from genai_app.state.ui import UiState


async def open_page(state: rx.State, *more: rx.event.EventType[()]):
    """Build the frame of a page from cookie and database, for the handler that opens it. Returns
    what that handler has to return: the events that follow, with `more` of the page's own."""
    (await state.get_state(UiState))._settle()
    (await state.get_state(SessionState))._show(acting())
    (await state.get_state(ChatState))._leave()
    emptied = (await state.get_state(SearchState))._settle()
    await (await state.get_state(DialogsState))._load()
    watch = await (await state.get_state(LimitState))._refresh()
    return [event for event in (emptied, watch, *more) if event is not None]
