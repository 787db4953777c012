"""Files of anybody's dialogs, for reviewers. Whoever opens one is audited and shown to its user."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import FileResponse

from genai_app.access import Actor
from genai_app.api.bodies import failures
from genai_app.api.files import BY_COOKIE_TOO, FileText, PageNumber, download, page_picture, text_of
from genai_app.api.holder import Holder
from genai_app.api.review.routes import Reviewer
from genai_app.services import services

router = APIRouter(prefix="/admin/api/dialogs/{dialog_id}/files", tags=["review"])


async def _reviewing_holder(actor: Holder) -> Actor:
    await services().review_admission.check(actor, "api")
    return actor


# for downloads, which scripts and browsers make: by bearer or by cookie
ReviewingHolder = Annotated[Actor, Depends(_reviewing_holder)]


@router.get(
    "/{file_id}/content",
    openapi_extra=BY_COOKIE_TOO,
    response_class=FileResponse,
    responses=failures(403, 404, 409),
    summary="Download a file of anybody's dialog",
)
async def get_content(
    dialog_id: str,
    file_id: str,
    actor: ReviewingHolder,
    thumbnail: bool = False,
    picture: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
) -> FileResponse:
    """Returns the bytes as they were uploaded, with `thumbnail` a small picture, or with `picture`
    that of a page; page 0 is the file that is a picture. Takes a bearer token or the browser's
    session."""
    is_further = thumbnail or picture is not None
    row = await services().reviewed_files.open(actor, dialog_id, file_id, is_further=is_further)
    if picture is not None:
        return await page_picture(actor, row, picture)
    return await download(actor, row, thumbnail=thumbnail)


@router.get(
    "/{file_id}/text",
    responses=failures(403, 404, 409),
    summary="Read the text of a file of anybody's dialog",
)
async def get_text(
    dialog_id: str,
    file_id: str,
    actor: Reviewer,
    first: PageNumber = 1,
    last: PageNumber | None = None,
) -> FileText:
    """Returns the text as the model gets it, from page `first` to page `last`."""
    row = await services().reviewed_files.open(actor, dialog_id, file_id)
    return await text_of(row, first, last)
