"""`/files`: files and pictures for questions. Files of others are not found."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse

from genai_app.access import Actor
from genai_app.api.bodies import failures
from genai_app.api.budget import Reader, limit_headers
from genai_app.api.holder import Holder
from genai_app.api.language import locale_of
from genai_app.errors import FileTooLarge, NotFound
from genai_app.i18n import catalogue, translate
from genai_app.models import Attachment
from genai_app.services import services
from genai_app.services.files.contents import MAX_CHARS
from genai_app.services.files.files import PAGE
from genai_app.services.files.rows import shown_state, summary_of
from genai_app.web.attachments import disposition
from genai_app.web.uploads import FIELD, FileBegins, form_files

router = APIRouter(tags=["files"])

FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {
                        FIELD: {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "minItems": 1,
                        }
                    },
                }
            }
        },
    },
    "security": [{"bearer": []}],  # or the cookie of a login
}
BY_COOKIE_TOO: dict[str, Any] = {"security": [{"bearer": []}]}
PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]
# nothing in a downloaded file runs, even where a browser shows it
SANDBOX = "default-src 'none'; sandbox"


class FileError(BaseModel):
    """Why a file could not be read."""

    code: Annotated[str, Field(examples=["file_encrypted"])]
    message: str


class FileNotice(BaseModel):
    """Something in a file that its user should know before it is sent. `pages`: the first of
    those where it is."""

    code: Annotated[str, Field(examples=["hidden_text"])]
    message: str
    pages: list[int]
    count: int
    quote: str


class FileItem(BaseModel):
    """A file. `state`: queued, reading, ready, or failed (`error` has the cause). What was read in
    it is null before."""

    id: UUID
    name: str
    media_type: str
    bytes: int
    state: Annotated[str, Field(examples=["ready"])]
    kind: Annotated[str | None, Field(examples=["pdf"])]
    unit: Annotated[str | None, Field(description="What `pages` counts", examples=["page"])]
    pages: int | None
    chars: int | None
    tokens: Annotated[int | None, Field(description="Of the whole text, roughly")]
    picture_pages: Annotated[list[int], Field(description="Pages without text")]
    thumbnail: Annotated[str | None, Field(description="Path of a small picture")]
    warnings: list[FileNotice]
    error: FileError | None
    dialog_id: Annotated[UUID | None, Field(description="Where it was first sent")]
    created_at: AwareDatetime

    @classmethod
    def of(cls, row: Attachment, locale: str) -> "FileItem":
        summary = summary_of(row)
        return cls(
            id=row.id,
            name=row.name,
            media_type=row.media_type,
            bytes=row.size,
            state=shown_state(row),
            kind=row.kind or None,
            unit=summary.unit if summary else None,
            pages=row.pages,
            chars=row.chars,
            tokens=row.tokens,
            picture_pages=list(summary.picture_pages) if summary else [],
            thumbnail=f"/files/{row.id}/content?thumbnail=true"
            if summary and summary.thumbnail
            else None,
            warnings=[
                FileNotice(
                    code=each.code,
                    message=each.text(locale),
                    pages=list(each.pages),
                    count=each.count,
                    quote=each.quote,
                )
                for each in (summary.warnings if summary else ())
            ],
            error=_error_of(row, locale),
            dialog_id=row.dialog_id,
            created_at=row.created_at,
        )


class FileItems(BaseModel):
    """Several files of one upload."""

    items: list[FileItem]


class FileList(BaseModel):
    """The caller's files, newest first."""

    items: list[FileItem]
    next_cursor: str | None


class FileText(BaseModel):
    """The text of pages of a file. `truncated`: the next pages did not fit; ask for them."""

    id: UUID
    pages: int
    first: int
    last: int
    text: Annotated[str, Field(description="Each page behind a line with its number")]
    truncated: bool


@router.post(
    "/files",
    status_code=201,
    openapi_extra=FORM,
    responses=failures(400, 409, 413),
    summary="Upload files for a question",
)
async def upload(request: Request, actor: Holder) -> FileItem | FileItems:
    """Takes a file in the field `file`, and reads it in the background: poll `GET /files/{file_id}`
    until `state` is `ready`, then name its id in `attachments` of `POST /ask`. A file that no
    question takes within a day is removed. Several fields `file` are answered as `items`; together
    they must not be larger than one file may be. Takes a bearer token or the browser's session."""
    files = services().files
    async with files.uploads.receive(actor) as receiving:
        try:
            async for piece in form_files(request):
                if isinstance(piece, FileBegins):
                    await receiving.begin(piece.name)
                elif isinstance(piece, bytes):
                    await receiving.add(piece)
        except HTTPException as error:  # the whole body is too large
            if error.status_code != FileTooLarge.status:
                raise
            limit_mb = services().settings.file_max_mb
            raise FileTooLarge(limit_mb=limit_mb, param=FIELD) from None
        rows = await receiving.commit()
    files.jobs.wake()
    items = [FileItem.of(each, locale_of(request)) for each in rows]
    return items[0] if len(items) == 1 else FileItems(items=items)


@router.get("/files", responses=failures(400), summary="List my files")
async def list_files(
    request: Request,
    actor: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = PAGE,
    cursor: str | None = None,
) -> FileList:
    page = await services().files.list(actor, limit=limit, cursor=cursor)
    items = [FileItem.of(each, locale_of(request)) for each in page.items]
    return FileList(items=items, next_cursor=page.next_cursor)


@router.get("/files/{file_id}", responses=failures(404), summary="Get a file's state")
async def get_file(file_id: str, request: Request, actor: Reader) -> FileItem:
    return FileItem.of(await services().files.get(actor, file_id), locale_of(request))


@router.get("/files/{file_id}/text", responses=failures(404, 409), summary="Read a file's text")
async def get_text(
    file_id: str,
    actor: Reader,
    first: PageNumber = 1,
    last: PageNumber | None = None,
) -> FileText:
    """Returns the text as the model gets it, from page `first` to page `last`. `truncated` says
    that it was cut at 200,000 characters."""
    return await text_of(await services().files.get(actor, file_id), first, last)


@router.get(
    "/files/{file_id}/content",
    openapi_extra=BY_COOKIE_TOO,
    response_class=FileResponse,
    responses=failures(404, 409),
    summary="Download a file, or a picture of it",
)
async def get_content(
    file_id: str,
    actor: Holder,
    thumbnail: bool = False,
    picture: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
) -> FileResponse:
    """Returns the bytes as they were uploaded, with `thumbnail` a WEBP of at most 320 pixels, or
    with `picture` a page of at most 2,048 pixels; page 0 is the file that is a picture. Takes a
    bearer token or the browser's session."""
    row = await services().files.get(actor, file_id)
    if picture is not None:
        return await page_picture(actor, row, picture)
    return await download(actor, row, thumbnail=thumbnail)


@router.delete(
    "/files/{file_id}", status_code=204, responses=failures(404), summary="Delete a file"
)
async def delete_file(file_id: str, actor: Reader) -> None:
    """Deletes a file with what was read in it. Its name stays in the questions that had it."""
    await services().files.delete(actor, file_id)


async def text_of(row: Attachment, first: int, last: int | None) -> FileText:
    """Returns the text of pages of a file that the caller may read."""
    pages, _ = await services().files.contents.overview(row)
    numbers = [each for each in pages if first <= each.number <= (last or each.number)]
    text = await services().files.contents.text(row, first, last)
    return FileText(
        id=row.id,
        pages=len(pages),
        first=first,
        last=numbers[-1].number if numbers else first,
        text=text,
        truncated=sum(each.chars for each in numbers) > MAX_CHARS,
    )


async def page_picture(actor: Actor, row: Attachment, page: int) -> FileResponse:
    """Returns the picture of a page that the reader of the file made. Raises NotFound."""
    pictures = await services().files.contents.pictures(row)
    shown = next((each for each in pictures if each.picture.page == page), None)
    if shown is None or not shown.path.is_file():
        raise NotFound
    headers = {"content-security-policy": SANDBOX, "x-content-type-options": "nosniff"}
    headers |= limit_headers(await services().limits.look(actor))
    headers["cache-control"] = "private, max-age=3600, immutable"
    return FileResponse(shown.path, media_type=shown.picture.media_type, headers=headers)


async def download(actor: Actor, row: Attachment, *, thumbnail: bool) -> FileResponse:
    """Returns the bytes of a file that the caller may read, or a small picture of it."""
    contents = services().files.contents
    headers = {"content-security-policy": SANDBOX, "x-content-type-options": "nosniff"}
    headers |= limit_headers(await services().limits.look(actor))
    if thumbnail:
        headers["cache-control"] = "private, max-age=3600, immutable"
        return FileResponse(contents.thumbnail(row), media_type="image/webp", headers=headers)
    headers["content-disposition"] = disposition(row.name)
    # never a type that a browser runs: the bytes are a user's
    return FileResponse(contents.path(row), media_type="application/octet-stream", headers=headers)


def _error_of(row: Attachment, locale: str) -> FileError | None:
    if not row.error_code:
        return None
    key = f"error.{row.error_code}"
    is_worded = key in catalogue(locale)
    limit_mb = services().settings.file_max_mb
    message = translate(locale, key, limit_mb=limit_mb) if is_worded else row.error_code
    return FileError(code=row.error_code, message=message)
