"""`/exports`: files that are made of a user's own dialogs, and, for reviewers, of everybody's."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import FileResponse

from genai_app.access import Actor
from genai_app.api.bearer import current_actor, get_bearer
from genai_app.api.bodies import Id, Sent, Text, failures
from genai_app.api.budget import Reader, limit_headers
from genai_app.api.roles import Reviewer
from genai_app.errors import NotAuthenticated
from genai_app.i18n import translate
from genai_app.models import Export as ExportRow
from genai_app.services import services
from genai_app.services.acting import act_as
from genai_app.services.export_choice import MAX_FILTER_CHARS, Kind
from genai_app.services.exports import ExportFile
from genai_app.web.attachments import disposition, file_name
from genai_app.web.cookies import session_token
from genai_app.web.origins import is_foreign

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
Day = Annotated[Text, Field(max_length=10, examples=["2026-11-25"])]


class NewExport(Sent):
    """One of my dialogs as `md`, `pdf` or `json`, or all of them as `json`."""

    kind: Literal["dialog", "mine"]
    format: Literal["md", "pdf", "json"]
    dialog_id: Annotated[Id | None, Field(description="Of kind `dialog`")] = None


class NewReviewExport(Sent):
    """Everybody's dialogs, or the questions with verified answers. Days are both included."""

    kind: Literal["dialogs", "verified"]
    format: Literal["csv", "xlsx", "pdf", "jsonl"]
    user: Filter = ""
    department: Filter = ""
    since: Day = ""
    until: Day = ""
    model: Filter = ""
    source: Filter = ""
    state: Filter = ""


class Export(BaseModel):
    """An export. `state`: queued, running, done, failed (`error_code` says why) or cancelled."""

    id: UUID
    kind: str
    format: str
    state: Annotated[str, Field(examples=["done"])]
    done: Annotated[int, Field(description="Rows that are written")]
    total: Annotated[int, Field(description="Rows in all, as far as is known")]
    size: Annotated[int, Field(description="Bytes of the file")]
    error_code: str | None
    created_at: AwareDatetime
    finished_at: AwareDatetime | None
    expires_at: Annotated[AwareDatetime | None, Field(description="Then the file is removed")]
    file: Annotated[str | None, Field(description="Where the file is, once it is there")]

    @classmethod
    def of(cls, row: ExportRow) -> "Export":
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


class Exports(BaseModel):
    """All that are not expired, newest first."""

    items: list[Export]


async def _holder(request: Request) -> Actor:
    """The bearer, else the browser's session: a link of the page is followed without a bearer.

    Raises NotAuthenticated, also where another site sent the browser here.
    """
    if get_bearer(request) is not None:
        actor = await current_actor(request, None)
    else:
        token = None if is_foreign(request) else session_token(request.headers.get("cookie"))
        found = await services().sessions.find_actor(token)
        if found is None:
            raise NotAuthenticated
        act_as(actor := found)
    request.state.actor = actor
    return actor


@router.post(
    "/exports", status_code=202, responses=failures(400, 404, 409, 413), summary="Export my dialogs"
)
async def start(body: NewExport, actor: Reader) -> Export:
    """It is made in the background: ask for it until `state` is `done`, then get its `file`."""
    return await _started(actor, body.model_dump())


@router.post(
    "/admin/api/exports",
    status_code=202,
    responses=failures(400, 403, 404, 409, 413),
    summary="Export everybody's dialogs, or verified answers",
    tags=["review"],
)
async def start_for_review(body: NewReviewExport, actor: Reviewer) -> Export:
    """For reviewers. Audited before anything is read."""
    return await _started(actor, body.model_dump())


@router.get("/exports", responses=failures(), summary="List my exports")
async def list_exports(actor: Reader) -> Exports:
    return Exports(items=[Export.of(each) for each in await services().exports.list(actor)])


@router.get("/exports/{export_id}", responses=failures(404), summary="Get an export")
async def get_export(export_id: str, actor: Reader) -> Export:
    return Export.of(await services().exports.get(actor, export_id))


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
async def download(export_id: str, actor: Annotated[Actor, Depends(_holder)]) -> FileResponse:
    """For whom it was made alone, by a bearer or in the browser."""
    file = await services().exports.open_file(actor, export_id)
    budget = await services().limits.look(actor)
    headers = {"content-disposition": disposition(_name(file)), **limit_headers(budget)}
    media_type = MEDIA_TYPES[file.format]
    return FileResponse(file.path, media_type=media_type, headers=headers)


async def _started(actor: Actor, body: dict[str, Any]) -> Export:
    kind, format_ = body.pop("kind"), body.pop("format")
    locale = services().settings.locale
    return Export.of(await services().exports.start(actor, kind, format_, body, locale))


def _name(file: ExportFile) -> str:
    locale = services().settings.locale
    titles = {
        Kind.DIALOGS: translate(locale, "export.kind_dialogs"),
        Kind.VERIFIED: translate(locale, "export.kind_verified"),
        Kind.MINE: translate(locale, "export.kind_mine"),
        Kind.DIALOG: file.title or translate(locale, "nav.untitled"),
    }
    day = "" if file.kind is Kind.DIALOG else f" {file.made_at.astimezone():%Y-%m-%d}"
    return file_name(titles[file.kind] + day, file.format)
