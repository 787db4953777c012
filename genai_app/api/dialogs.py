"""The caller's own dialogs and history. Anybody else's are not found."""

from typing import Annotated

from fastapi import APIRouter, Query

from genai_app.api.bodies import (
    Dialog,
    DialogMessage,
    DialogMessages,
    Dialogs,
    HistoryItem,
    HistoryPage,
    TitleBody,
    failures,
)
from genai_app.api.budget import Reader
from genai_app.services import services
from genai_app.services.history import PAGE

router = APIRouter(tags=["dialogs"])

MAX_PAGE = 200
MAX_SEARCH_CHARS = 200

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[
    str | None, Query(max_length=200, description="`next_cursor` of the page before")
]
Search = Annotated[
    str, Query(max_length=MAX_SEARCH_CHARS, description="Text of the title, or words of messages")
]


@router.get("/dialogs", responses=failures(), summary="List dialogs, the latest first")
async def list_dialogs(
    actor: Reader, q: Search = "", limit: Limit = PAGE, cursor: Cursor = None
) -> Dialogs:
    """With `q` those whose title holds that text, or that have a message with all of its words in
    any form, the last one perhaps only begun."""
    if q.strip():
        found = await services().search.find(actor, q, limit=limit, cursor=cursor)
        return Dialogs(
            items=[Dialog.of(each.dialog) for each in found.items], next_cursor=found.next_cursor
        )
    page = await services().history.list_dialogs(actor, limit=limit, cursor=cursor)
    return Dialogs(items=[Dialog.of(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/dialogs/{dialog_id}", responses=failures(404), summary="Get a dialog")
async def get_dialog(dialog_id: str, actor: Reader) -> Dialog:
    return Dialog.of(await services().history.get(actor, dialog_id))


@router.patch("/dialogs/{dialog_id}", responses=failures(400, 404, 413), summary="Rename a dialog")
async def rename_dialog(dialog_id: str, body: TitleBody, actor: Reader) -> Dialog:
    await services().history.rename(actor, dialog_id, body.title)
    return Dialog.of(await services().history.get(actor, dialog_id))


@router.delete(
    "/dialogs/{dialog_id}", status_code=204, responses=failures(404), summary="Delete a dialog"
)
async def delete_dialog(dialog_id: str, actor: Reader) -> None:
    """It goes out of sight, and an answer that is being written in it ends."""
    await services().history.delete(actor, dialog_id)


@router.get(
    "/dialogs/{dialog_id}/messages",
    responses=failures(404),
    summary="List a dialog's messages, the oldest first",
)
async def list_messages(
    dialog_id: str, actor: Reader, limit: Limit = PAGE, cursor: Cursor = None
) -> DialogMessages:
    """All branches: an answer that was asked for again stands beside the old one."""
    page = await services().history.list_messages(actor, dialog_id, limit=limit, cursor=cursor)
    return DialogMessages(
        items=[DialogMessage.of(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.get("/history", responses=failures(), summary="List questions and answers, newest first")
async def list_history(actor: Reader, limit: Limit = PAGE, cursor: Cursor = None) -> HistoryPage:
    page = await services().history.list_pairs(actor, limit=limit, cursor=cursor)
    return HistoryPage(
        items=[HistoryItem.of(each) for each in page.items], next_cursor=page.next_cursor
    )
