"""`/exports`: exports of a user's own dialogs and, for reviewers, of everybody's dialogs."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import FileResponse

from genai_app.access import Actor
from genai_app.api.bodies import Id, RequestBody, Switch, Text, failures
from genai_app.api.budget import Reader, limit_headers
from genai_app.api.holder import Holder
from genai_app.api.roles import Reviewer
from genai_app.i18n import translate
from genai_app.models import Export
from genai_app.services import services
from genai_app.services.exports.choice import MAX_FILTER_CHARS, ExportKind
from genai_app.services.exports.exports import ExportFile
from genai_app.web.attachments import disposition, file_name
from genai_app.zones import local_time

router = APIRouter(tags=["exports"])

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
    "jsonl": "application/jsonl",
    "json": "application/json",
    "md": "text/markdown; charset=utf-8",
}
Filter = Annotated[Text, Field(max_length=MAX_FILTER_CHARS)]
Reasoning = Annotated[Switch, Field(description="With the model's thoughts before its answers")]
Day = Annotated[Text, Field(max_length=10, examples=["2026-11-25"])]


class NewExport(RequestBody):
    """An export of one of my dialogs (`md`, `pdf` or `json`), or of all of them (`json`)."""

    kind: Literal["dialog", "mine"]
    format: Literal["md", "pdf", "json"]
    dialog_id: Annotated[Id | None, Field(description="Only with kind `dialog`")] = None
    reasoning: Reasoning = False


class NewReviewExport(RequestBody):
    """An export of everybody's dialogs, or of the verified answers. `since` and `until` are days,
    both included."""

    kind: Literal["dialogs", "verified"]
    format: Literal["csv", "xlsx", "pdf", "jsonl"]
    user: Filter = ""
    department: Filter = ""
    since: Day = ""
    until: Day = ""
    model: Filter = ""
    source: Filter = ""
    state: Filter = ""
    reasoning: Reasoning = False


class ExportItem(BaseModel):
    """An export. `state`: queued, running, done, failed (`error_code` has the cause) or
    cancelled."""

    id: UUID
    kind: str
    format: str
    state: Annotated[str, Field(examples=["done"])]
    done: Annotated[int, Field(description="Rows written so far")]
    total: Annotated[int, Field(description="Rows to write, as estimated so far")]
    size: Annotated[int, Field(description="Size of the file in bytes")]
    error_code: str | None
    created_at: AwareDatetime
    finished_at: AwareDatetime | None
    expires_at: Annotated[AwareDatetime | None, Field(description="When the file will be removed")]
    file: Annotated[
        str | None, Field(description="Path of the download, as soon as `state` is `done`")
    ]

    @classmethod
    def of(cls, row: Export) -> "ExportItem":
        return cls(
            id=row.id,
            kind=row.kind,
            format=row.format,
            state=row.state,
            done=row.done,
            total=row.total,
            size=row.size,
            error_code=row.error_code or None,
            created_at=row.created_at,
            finished_at=row.finished_at,
            expires_at=row.expires_at,
            file=f"/exports/{row.id}/file" if row.state == "done" else None,
        )


class ExportItems(BaseModel):
    """The caller's exports that are not expired, newest first."""

    items: list[ExportItem]


@router.post(
    "/exports", status_code=202, responses=failures(400, 404, 409, 413), summary="Export my dialogs"
)
async def start(body: NewExport, actor: Reader) -> ExportItem:
    """Starts an export in the background. Poll `GET /exports/{export_id}` until `state` is `done`,
    then download `file`."""
    return await _started(actor, body.model_dump())


@router.post(
    "/admin/api/exports",
    status_code=202,
    responses=failures(400, 403, 404, 409, 413),
    summary="Export everybody's dialogs, or verified answers",
    tags=["review"],
)
async def start_for_review(body: NewReviewExport, actor: Reviewer) -> ExportItem:
    """Starts an export in the background. The audit log records it before any dialog is read."""
    return await _started(actor, body.model_dump())


@router.get("/exports", responses=failures(), summary="List my exports")
async def list_exports(actor: Reader) -> ExportItems:
    return ExportItems(items=[ExportItem.of(each) for each in await services().exports.list(actor)])


@router.get("/exports/{export_id}", responses=failures(404), summary="Get an export")
async def get_export(export_id: str, actor: Reader) -> ExportItem:
    return ExportItem.of(await services().exports.get(actor, export_id))


@router.delete(
    "/exports/{export_id}",
    status_code=204,
    responses=failures(404),
    summary="Cancel an export, or remove its file",
)
async def remove_export(export_id: str, actor: Reader) -> None:
    await services().exports.remove(actor, export_id)


@router.get(
    "/exports/{export_id}/file",
    openapi_extra={"security": [{"bearer": []}]},  # or the cookie of a login
    response_class=FileResponse,
    responses=failures(404),
    summary="Download an export",
)
async def download(export_id: str, actor: Holder) -> FileResponse:
    """Returns the file, only to the user who started the export. Takes a bearer token or the
    browser's session."""
    file = await services().exports.open_file(actor, export_id)
    budget = await services().limits.look(actor)
    headers = {"content-disposition": disposition(_name(file)), **limit_headers(budget)}
    media_type = MEDIA_TYPES[file.format]
    return FileResponse(file.path, media_type=media_type, headers=headers)


async def _started(actor: Actor, body: dict[str, Any]) -> ExportItem:
    kind, format_ = body.pop("kind"), body.pop("format")
    locale = services().settings.locale
    return ExportItem.of(await services().exports.start(actor, kind, format_, body, locale))


def _name(file: ExportFile) -> str:
    locale = services().settings.locale
    titles = {
        ExportKind.DIALOGS: translate(locale, "export.kind_dialogs"),
        ExportKind.VERIFIED: translate(locale, "export.kind_verified"),
        ExportKind.MINE: translate(locale, "export.kind_mine"),
        ExportKind.DIALOG: file.title or translate(locale, "nav.untitled"),
    }
    day = "" if file.kind is ExportKind.DIALOG else f" {local_time(file.made_at):%Y-%m-%d}"
    return file_name(titles[file.kind] + day, file.format)
