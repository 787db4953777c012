"""Files of anybody's dialogs, for reviewers. Whoever opens one is audited and shown to its user."""

from fastapi import APIRouter
from starlette.responses import FileResponse

from genai_app.api.bodies import failures
from genai_app.api.files import FileText, PageNumber, download, text_of
from genai_app.api.review.routes import Reviewer
from genai_app.services import services

router = APIRouter(prefix="/admin/api/dialogs/{dialog_id}/files", tags=["review"])


@router.get(
    "/{file_id}/content",
    response_class=FileResponse,
    responses=failures(403, 404),
    summary="Download a file of anybody's dialog",
)
async def get_content(
    dialog_id: str, file_id: str, actor: Reviewer, thumbnail: bool = False
) -> FileResponse:
    """Returns the bytes as they were uploaded, or with `thumbnail` a small picture."""
    row = await services().reviewed_files.open(actor, dialog_id, file_id)
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
