"""Routes of the caller's own dialogs and history. Dialogs of others are not found."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query

from genai_app.api.bodies import failures
from genai_app.api.budget import Reader
from genai_app.api.dialogs.bodies import (
    DialogItem,
    DialogItems,
    DialogMessage,
    DialogMessages,
    DialogPatch,
    HistoryItem,
    HistoryPage,
)
from genai_app.services import services
from genai_app.services.dialogs.history import PAGE

router = APIRouter(tags=["dialogs"])

MAX_PAGE = 200
MAX_SEARCH_CHARS = 200

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[
    str | None,
    Query(description="`next_cursor` of the previous page. All other parameters must be the same"),
]
KeyFilter = Annotated[
    UUID | Literal["none"] | None,
    Query(
        description="The id of an API key: only dialogs that this key began. `none`: only dialogs"
        " that no key began"
    ),
]
Archived = Annotated[
    bool | None,
    Query(
        description="Only archived dialogs, or only others. Left out: the list has only others,"
        " a search has both"
    ),
]
Search = Annotated[
    str,
    Query(max_length=MAX_SEARCH_CHARS, description="A part of the title, or words in the messages"),
]


@router.get("/dialogs", responses=failures(400), summary="List dialogs, the latest first")
async def list_dialogs(
    actor: Reader,
    q: Search = "",
    limit: Limit = PAGE,
    cursor: Cursor = None,
    key_id: KeyFilter = None,
    archived: Archived = None,
) -> DialogItems:
    """Returns the caller's dialogs, also those that API keys began. With `q`: dialogs whose title
    contains this text, or with a message that contains all its words in any grammatical form; the
    last word may be incomplete."""
    key, own = (key_id if isinstance(key_id, UUID) else None), key_id == "none"
    if q.strip():
        hits = await services().search.find(
            actor, q, limit=limit, cursor=cursor, key_id=key, own=own, archived=archived
        )
        return DialogItems(
            items=[DialogItem.model_validate(each.dialog) for each in hits.items],
            next_cursor=hits.next_cursor,
        )
    page = await services().history.list_dialogs(
        actor, limit=limit, cursor=cursor, key_id=key, own=own, archived=bool(archived)
    )
    return DialogItems(
        items=[DialogItem.model_validate(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.get("/dialogs/{dialog_id}", responses=failures(404), summary="Get a dialog")
async def get_dialog(dialog_id: str, actor: Reader) -> DialogItem:
    return DialogItem.model_validate(await services().history.get(actor, dialog_id))


@router.patch(
    "/dialogs/{dialog_id}",
    responses=failures(400, 404, 409, 413),
    summary="Rename, move, pin or archive a dialog",
)
async def change_dialog(dialog_id: str, body: DialogPatch, actor: Reader) -> DialogItem:
    """Makes all changes or none. A folder of somebody else is not found."""
    dialog = await services().dialog_edits.change(actor, dialog_id, body.edit())
    services().dialog_changes.look_soon()
    return DialogItem.model_validate(dialog)


@router.delete(
    "/dialogs/{dialog_id}", status_code=204, responses=failures(404), summary="Delete a dialog"
)
async def delete_dialog(dialog_id: str, actor: Reader) -> None:
    """Removes a dialog from all lists, and stops an answer that is being written in it. Reviewers
    can read it until its retention time ends; until then `/restore` brings it back."""
    await services().history.delete(actor, dialog_id)


@router.post(
    "/dialogs/{dialog_id}/restore", responses=failures(404), summary="Bring back a deleted dialog"
)
async def restore_dialog(dialog_id: str, actor: Reader) -> DialogItem:
    """Returns the dialog as it was before the caller deleted it. Answers 404 for a dialog that is
    not deleted, or that is removed for good."""
    dialog = await services().dialog_edits.restore(actor, dialog_id)
    services().dialog_changes.look_soon()
    return DialogItem.model_validate(dialog)


@router.get(
    "/dialogs/{dialog_id}/messages",
    responses=failures(400, 404),
    summary="List a dialog's messages, the oldest first",
)
async def list_messages(
    dialog_id: str, actor: Reader, limit: Limit = PAGE, cursor: Cursor = None
) -> DialogMessages:
    """Returns the messages of all branches, so also the older answers to a question."""
    page = await services().history.list_messages(actor, dialog_id, limit=limit, cursor=cursor)
    files = await services().files.of_messages(actor, [each.id for each in page.items])
    return DialogMessages(
        items=[DialogMessage.of(each, files.get(each.id, ())) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.get("/history", responses=failures(400), summary="List questions and answers, newest first")
async def list_history(actor: Reader, limit: Limit = PAGE, cursor: Cursor = None) -> HistoryPage:
    page = await services().history.list_pairs(actor, limit=limit, cursor=cursor)
    return HistoryPage(
        items=[HistoryItem.of(each) for each in page.items], next_cursor=page.next_cursor
    )
