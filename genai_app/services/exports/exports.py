"""Exports: files that are written in the background (jobs.py). Each belongs to one user and is
removed after `GENAI_EXPORT_DAYS`."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_dialog, parse_id
from genai_app.db.database import Database
from genai_app.errors import Conflict, Forbidden, NotFound
from genai_app.i18n import DEFAULT_LOCALE, LOCALES
from genai_app.models import AuditEvent, Export, JobState, Review, Role, User
from genai_app.services.accounts.users import fold_username
from genai_app.services.audit.events import Action, Audit, Outcome, event
from genai_app.services.exports.choice import (
    FOR_REVIEWERS,
    ExportChoice,
    ExportKind,
    Format,
    choose,
    day_begins,
)
from genai_app.services.exports.jobs import ExportJobs
from genai_app.services.exports.writer import ExportRun, Job
from genai_app.services.jobs.lease import ENDED, UNDER_WAY, cancel_job
from genai_app.services.review.crowds import count_people, list_moved, require_crowd
from genai_app.settings.settings import Settings

MAX_WAITING = 5  # of one user, queued or running
MAX_KEPT = 30  # of one user; the oldest go when there are more


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file to be downloaded. The name of the download is made of `title`."""

    path: Path
    kind: ExportKind
    format: Format
    title: str
    size: int
    made_at: datetime


class Exports:
    """Starts exports, and shows each of them to its owner only."""

    def __init__(
        self, db: Database, settings: Settings, audit: Audit, jobs: ExportJobs | None = None
    ) -> None:
        self._db = db
        self._settings = settings
        self._audit = audit
        self.jobs = jobs or ExportJobs(db, settings)

    async def start(
        self,
        actor: Actor,
        kind: object,
        format: object,
        chosen: dict[str, object] | None = None,
        locale: str = DEFAULT_LOCALE,
    ) -> Export:
        """Queues an export. The audit event is committed before any data is read.

        Raises:
            InvalidInput: bad_export.
            Forbidden: the actor lacks the role; names_hidden, review_off.
            NotFound: the actor has no such dialog, or there is no such user.
            Conflict: too_many_exports.
        """
        export_kind, file_format, choice = choose(kind, format, chosen or {})
        await self._check_role(actor, export_kind)
        subject = await find_people(self._db, self._settings, choice)
        if export_kind is ExportKind.DIALOGS and self._settings.review_mode == "pseudonymous":
            await _check_choice(self._db, choice)
        row = Export(
            owner_id=actor.user_id,
            kind=export_kind,
            format=file_format,
            locale=locale if locale in LOCALES else DEFAULT_LOCALE,
        )
        async with self._db.write() as session:
            if export_kind is ExportKind.DIALOG:
                dialog = await get_dialog(session, actor, choice.dialog_id)
                choice.dialog_id, choice.title = str(dialog.id), dialog.title
            await self._make_room(session, actor)
            row.chosen = choice.to_json()
            session.add(row)
            session.add(start_event(actor, export_kind, file_format, choice, subject))
        self.jobs.wake()
        return row

    async def list(self, actor: Actor) -> Sequence[Export]:
        """Returns the actor's exports that have not expired, newest first."""
        query = sa.select(Export).where(_own(actor)).order_by(col(Export.id).desc())
        async with self._db.read() as session:
            return (await session.scalars(query)).all()

    async def get(self, actor: Actor, export_id: object) -> Export:
        """Raises NotFound."""
        query = sa.select(Export).where(_own(actor), col(Export.id) == parse_id(export_id))
        async with self._db.read() as session:
            row = await session.scalar(query)
        if row is None:
            raise NotFound
        return row

    async def cancel(self, actor: Actor, export_id: object) -> bool:
        """Cancels an export that is queued or running. Returns False when it already ended.

        Raises NotFound.
        """
        row = await self.get(actor, export_id)
        cancelled = await cancel_job(self._db, Export, row.id, kept=self.jobs.kept)
        if cancelled:
            self.jobs.cancel(row.id)
        return cancelled

    async def remove(self, actor: Actor, export_id: object) -> None:
        """Cancels an export that is queued or running; deletes an ended one with its file.

        Raises NotFound.
        """
        if await self.cancel(actor, export_id):
            return
        row = await self.get(actor, export_id)
        async with self._db.write() as session:
            await session.execute(sa.delete(Export).where(col(Export.id) == row.id))
        await asyncio.to_thread(self.jobs.files.remove, row.file_name)

    async def open_file(self, actor: Actor, export_id: object) -> ExportFile:
        """Returns the file, after the download is audited.

        Raises:
            NotFound: not the actor's, not finished, expired; or the actor is no reviewer any more
                and the export is for reviewers. `export_elsewhere`: the file is on another host.
        """
        row = await self.get(actor, export_id)
        kind = ExportKind(row.kind)
        if row.state != JobState.DONE or (kind in FOR_REVIEWERS and not actor.has(Role.REVIEWER)):
            raise NotFound
        if kind is ExportKind.DIALOGS and self._settings.review_mode == "off":
            raise NotFound
        path = self.jobs.files.directory / row.file_name
        if not await asyncio.to_thread(path.is_file):
            raise NotFound(code="export_elsewhere")
        choice = ExportChoice.of_json(row.chosen)
        async with self._db.write() as session:
            session.add(
                event(
                    Action.EXPORT_DOWNLOAD,
                    by=actor,
                    target=target_of(kind, choice),
                    subject=_subject(choice),
                    kind=kind,
                    format=row.format,
                    export=row.id,
                )
            )
        made_at = row.finished_at or row.created_at
        return ExportFile(path, kind, Format(row.format), choice.title, row.size, made_at)

    async def _check_role(self, actor: Actor, kind: ExportKind) -> None:
        if kind not in FOR_REVIEWERS:
            return
        if not actor.has(Role.REVIEWER):
            refused = event(Action.ACCESS, Outcome.REFUSED, by=actor, target=f"export {kind}")
            await self._audit.record_news(refused)
            raise Forbidden
        if kind is ExportKind.DIALOGS:
            check_mode(self._settings)

    async def _make_room(self, session: AsyncSession, actor: Actor) -> None:
        """Limits the exports of one user: refuses a new one while too many are queued or running,
        and deletes the oldest ended ones.

        Raises:
            Conflict: too_many_exports.
        """
        mine = col(Export.owner_id) == actor.user_id
        # the user's row is locked: two orders at the same time would both pass the check
        await session.execute(
            sa.select(col(User.id)).where(col(User.id) == actor.user_id).with_for_update()
        )
        waiting = await session.scalar(
            sa.select(sa.func.count())
            .select_from(Export)
            .where(mine, col(Export.state).in_(UNDER_WAY))
        )
        if (waiting or 0) >= MAX_WAITING:
            raise Conflict(code="too_many_exports")
        old = await session.scalars(
            sa.select(col(Export.id))
            .where(mine, col(Export.state).in_(ENDED))
            .order_by(col(Export.id).desc())
            .offset(MAX_KEPT - 1)
        )
        # their files have no row any more: the sweep of their host removes them
        await session.execute(sa.delete(Export).where(col(Export.id).in_(old.all())))


async def _check_choice(db: Database, choice: ExportChoice) -> None:
    """Checks that filters match enough people while names are hidden.

    Raises InvalidInput when they match too few.
    """
    chosen = {name: getattr(choice, name) for name in ("department", "model", "source", "state")}
    which = [col(getattr(Review, name)) == value for name, value in chosen.items() if value]
    if since := day_begins(choice.since):
        which.append(col(Review.updated_at) >= since)
    if until := day_begins(choice.until, after=True):
        which.append(col(Review.updated_at) < until)
    if not (choice.department or choice.model or since or until):
        return
    async with db.read() as session:
        if choice.department:
            which.append(col(Review.user_id).not_in(await list_moved(session)))
        require_crowd(await count_people(session, which))


def check_mode(settings: Settings) -> None:
    """Raises Forbidden: review_off, where GENAI_REVIEW_MODE is off."""
    if settings.review_mode == "off":
        raise Forbidden(code="review_off")


async def find_people(db: Database, settings: Settings, choice: ExportChoice) -> uuid.UUID | None:
    """Looks up the user name of a choice and sets its `user_ids`. Returns the one user whom the
    export is about, None for several or all.

    Raises:
        NotFound: user_not_found.
        Forbidden: names_hidden: a search by name would reveal the pseudonym.
    """
    if not choice.user:
        return None
    if settings.review_mode == "pseudonymous":
        raise Forbidden(code="names_hidden")
    folded = fold_username(choice.user)
    async with db.read() as session:
        ids = await session.scalars(sa.select(col(User.id)).where(col(User.username) == folded))
        choice.user_ids = tuple(str(each) for each in ids)
    if not choice.user_ids:
        raise NotFound(code="user_not_found")
    return _subject(choice)


async def export_to_file(
    db: Database,
    settings: Settings,
    kind: object,
    format: object,
    chosen: dict[str, object],
    path: Path,
    *,
    by: str,
) -> int:
    """Writes an export into a new file, for the operator. The audit event is committed before any
    data is read.

    Returns the number of rows. Raises as `Exports.start` and `ExportRun.write` do.
    """
    export_kind, file_format, choice = choose(kind, format, chosen)
    if export_kind is ExportKind.DIALOGS:
        check_mode(settings)
    subject = await find_people(db, settings, choice)
    async with db.write() as session:
        session.add(start_event(by, export_kind, file_format, choice, subject))
    part = path.with_name(path.name + ".part")
    job = Job(export_kind, file_format, choice, uuid.uuid4(), by, settings.locale)
    count = await ExportRun(db, settings).write(job, part, lambda _done, _total: None)
    await asyncio.to_thread(part.rename, path)
    return count


def start_event(
    by: Actor | str,
    kind: ExportKind,
    format: Format,
    choice: ExportChoice,
    subject: uuid.UUID | None,
) -> AuditEvent:
    """Returns the audit event of an export that starts."""
    facts: dict[str, Any] = {"kind": kind, "format": format, **choice.audit_details()}
    return event(Action.EXPORT, by=by, target=target_of(kind, choice), subject=subject, **facts)


def target_of(kind: ExportKind, choice: ExportChoice) -> str:
    """Returns the target of an export's audit events: a user name, a dialog's id or the kind."""
    if kind is ExportKind.DIALOGS:
        return choice.user or "everybody"
    return choice.dialog_id if kind is ExportKind.DIALOG else str(kind)


def _subject(choice: ExportChoice) -> uuid.UUID | None:
    return choice.people[0] if len(choice.user_ids) == 1 else None


def _own(actor: Actor) -> sa.ColumnElement[bool]:
    return sa.and_(
        col(Export.owner_id) == actor.user_id,
        sa.or_(col(Export.expires_at).is_(None), col(Export.expires_at) > clock.now()),
    )
