"""Routes of the review, for reviewers and administrators, and `/me/readers` for every user."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from genai_app.access import Actor
from genai_app.api.bodies import failures
from genai_app.api.budget import Reader
from genai_app.api.dialogs.routes import Cursor, Limit
from genai_app.api.review.bodies import (
    FilterQuery,
    Note,
    NoteBody,
    ReaderItem,
    ReaderItems,
    ReasonBody,
    ReviewDialog,
    ReviewDialogs,
    ReviewedPerson,
    ReviewMessage,
    ReviewMessages,
    ReviewReading,
    VerdictBody,
)
from genai_app.services import services
from genai_app.services.review.reviews import PAGE

router = APIRouter(tags=["review"])


async def _reviewer(actor: Reader) -> Actor:
    """Checks the role before the request's parameters and body are validated."""
    await services().review_admission.check(actor, "api")
    return actor


Reviewer = Annotated[Actor, Depends(_reviewer)]


class ListQuery(FilterQuery):
    """Filters, page size and cursor of the list."""

    limit: Limit = PAGE
    cursor: Cursor = None


@router.get(
    "/admin/api/dialogs",
    responses=failures(400, 403),
    summary="List everybody's dialogs, the last asked first; with `q` those of the newest hits",
)
async def list_dialogs(actor: Reviewer, query: Annotated[ListQuery, Query()]) -> ReviewDialogs:
    """Returns dialogs that fit all filters. In a search (`q`) a dialog with many hits may appear
    again on a later page."""
    page = await services().reviews.list_dialogs(actor, query.filters(), query.cursor, query.limit)
    return ReviewDialogs(
        items=[ReviewDialog.model_validate(each) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.get(
    "/admin/api/dialogs/{dialog_id}",
    responses=failures(403, 404),
    summary="Read a dialog; the audit says so, and its user sees it",
)
async def read_dialog(dialog_id: str, actor: Reviewer) -> ReviewReading:
    return ReviewReading.of(await services().reviews.read_dialog(actor, dialog_id))


@router.get(
    "/admin/api/dialogs/{dialog_id}/messages",
    responses=failures(400, 403, 404),
    summary="List a dialog's messages, all branches, the oldest first",
)
async def list_messages(
    dialog_id: str, actor: Reviewer, limit: Limit = PAGE, cursor: Cursor = None
) -> ReviewMessages:
    page = await services().reviews.list_messages(actor, dialog_id, cursor, limit)
    return ReviewMessages(
        items=[
            ReviewMessage.with_opinions(each, files=page.files.get(each.id, ()))
            for each in page.items
        ],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/admin/api/dialogs/{dialog_id}/reveal",
    responses=failures(400, 403, 404, 409, 413),
    summary="Whose a dialog is, for a reason that its user will see",
)
async def reveal(dialog_id: str, actor: Reviewer, body: ReasonBody) -> ReviewedPerson:
    person = await services().reviews.reveal(actor, dialog_id, body.reason)
    return ReviewedPerson.model_validate(person)


@router.post(
    "/admin/api/dialogs/{dialog_id}/take",
    responses=failures(403, 404, 409),
    summary="Take a dialog into review",
)
async def take(dialog_id: str, actor: Reviewer) -> ReviewDialog:
    await services().review_work.take(actor, dialog_id)
    return await _dialog(actor, dialog_id)


@router.post(
    "/admin/api/dialogs/{dialog_id}/close",
    responses=failures(403, 404, 409),
    summary="Close the review of a dialog that is judged",
)
async def close(dialog_id: str, actor: Reviewer) -> ReviewDialog:
    await services().review_work.close(actor, dialog_id)
    return await _dialog(actor, dialog_id)


@router.post(
    "/admin/api/dialogs/{dialog_id}/reopen",
    responses=failures(403, 404, 409),
    summary="Make a closed dialog new again",
)
async def reopen(dialog_id: str, actor: Reviewer) -> ReviewDialog:
    await services().review_work.reopen(actor, dialog_id)
    return await _dialog(actor, dialog_id)


@router.post(
    "/admin/api/messages/{message_id}/verdict",
    responses=failures(400, 403, 404, 409, 413),
    summary="Judge an answer; that takes its dialog into review",
)
async def judge(message_id: str, actor: Reviewer, body: VerdictBody) -> ReviewDialog:
    dialog_id = await services().review_work.judge(actor, message_id, body.verdict)
    return await _dialog(actor, dialog_id)


@router.post(
    "/admin/api/dialogs/{dialog_id}/notes",
    status_code=201,
    responses=failures(400, 403, 404, 413),
    summary="Write a note that reviewers see",
)
async def add_note(dialog_id: str, actor: Reviewer, body: NoteBody) -> Note:
    return Note.model_validate(await services().review_work.add_note(actor, dialog_id, body.text))


@router.get("/me/readers", responses=failures(400), summary="Who read my dialogs, when and why")
async def my_readers(actor: Reader, limit: Limit = PAGE, cursor: Cursor = None) -> ReaderItems:
    page = await services().readers.list(actor, limit=limit, cursor=cursor)
    return ReaderItems(
        items=[ReaderItem.model_validate(each) for each in page.items], next_cursor=page.next_cursor
    )


async def _dialog(actor: Actor, dialog_id: object) -> ReviewDialog:
    dialog, _ = await services().reviews.summary(actor, dialog_id)
    return ReviewDialog.model_validate(dialog)
