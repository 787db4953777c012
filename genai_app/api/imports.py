"""`/imports`: dialogs from the export files of other chats."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, Field

from genai_app.api.bodies import failures
from genai_app.api.budget import Reader
from genai_app.api.holder import Holder
from genai_app.api.language import locale_of
from genai_app.models import BackgroundJob
from genai_app.services import services
from genai_app.services.imports.counts import ImportCounts
from genai_app.services.imports.reader.frames import MAX_FILE_BYTES
from genai_app.web.uploads import FIELD, receive_file

router = APIRouter(tags=["imports"])

FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "format": "binary"}},
                }
            }
        },
    },
    "security": [{"bearer": []}],  # or the cookie of a login
}


class ImportResult(BaseModel):
    """Numbers of dialogs, but for `messages`. `repeated`: imported before; `deleted`: imported
    before and deleted here; `expired`: older than the retention period; `stopped`: why the rest
    was not read, "" if all was."""

    imported: int
    messages: int
    repeated: int
    deleted: int
    expired: int
    empty: int
    unread: int
    cut: int
    stopped: str


class ImportItem(BaseModel):
    """An import. `state`: queued, running, done, failed (`error_code` has the cause) or
    cancelled."""

    id: UUID
    name: Annotated[str, Field(description="Name of the uploaded file")]
    state: Annotated[str, Field(examples=["done"])]
    percent: Annotated[int, Field(description="How much of the file is read")]
    result: ImportResult
    error_code: str | None
    created_at: AwareDatetime
    finished_at: AwareDatetime | None

    @classmethod
    def of(cls, row: BackgroundJob) -> "ImportItem":
        counts = ImportCounts.of_json(row.result)
        names = ImportResult.model_fields
        return cls(
            id=row.id,
            name=str(msgspec.json.decode(row.chosen).get("name", "")),
            state=row.state,
            percent=100 * row.done // row.total if row.total else 0,
            result=ImportResult(**{name: getattr(counts, name) for name in names}),
            error_code=row.error_code or None,
            created_at=row.created_at,
            finished_at=row.finished_at,
        )


class ImportItems(BaseModel):
    """The caller's imports of the last days, newest first."""

    items: list[ImportItem]


@router.post(
    "/imports",
    status_code=202,
    openapi_extra=FORM,
    responses=failures(400, 409, 413),
    summary="Import dialogs of another chat",
)
async def start(request: Request, actor: Holder) -> ImportItem:
    """Takes the export file of ChatGPT or Open WebUI, a ZIP or JSON of at most 200 MB, and reads it
    in the background. Poll `GET /imports/{import_id}`. A dialog is imported once, however often its
    file is sent. Takes a bearer token or the browser's session."""
    imports = services().imports
    async with imports.upload(actor) as part:
        name = await receive_file(request, part, MAX_FILE_BYTES)
        return ImportItem.of(await imports.start(actor, part, name, locale_of(request)))


@router.get("/imports", responses=failures(), summary="List my imports")
async def list_imports(actor: Reader) -> ImportItems:
    return ImportItems(items=[ImportItem.of(each) for each in await services().imports.list(actor)])


@router.get("/imports/{import_id}", responses=failures(404), summary="Get an import")
async def get_import(import_id: str, actor: Reader) -> ImportItem:
    return ImportItem.of(await services().imports.get(actor, import_id))


@router.delete(
    "/imports/{import_id}",
    status_code=204,
    responses=failures(404),
    summary="Cancel an import, or forget its result",
)
async def remove_import(import_id: str, actor: Reader) -> None:
    """Dialogs that were imported already stay."""
    await services().imports.remove(actor, import_id)
