"""Exports: files that are made in the background (services/exports/jobs.py), for one user, for some
days."""

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
from genai_app.services.exports.jobs import ENDED, UNDER_WAY, ExportJobs, expiry
from genai_app.services.exports.writer import ExportRun, Job
from genai_app.services.review.crowds import count_people, list_moved, require_crowd
from genai_app.settings.settings import Settings

MAX_WAITING = 5  # of one user, queued or running
MAX_KEPT = 30  # of one user; the oldest go when there are more


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file to be sent. `title` makes its name."""

    path: Path
    kind: ExportKind
    format: Format
    title: str
    size: int
    made_at: datetime


class Exports:
    """Takes orders for exports, and gives them to their owner alone."""

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
        """Order an export. It is audited before anything of anybody is read.

        Raises:
            InvalidInput: bad_export, names_hidden.
            Forbidden: a role is missing, or GENAI_REVIEW_MODE is off.
            NotFound: no such dialog of the actor's, no such user.
            Conflict: too_many_exports.
        """
        what, how, choice = choose(kind, format, chosen or {})
        await self._check_role(actor, what)
        subject = await find_people(self._db, self._settings, choice)
        if what is ExportKind.DIALOGS and self._settings.review_mode == "pseudonymous":
            await _check_choice(self._db, choice)
        row = Export(
            owner_id=actor.user_id,
            kind=what,
            format=how,
            locale=locale if locale in LOCALES else DEFAULT_LOCALE,
        )
        async with self._db.write() as session:
            if what is ExportKind.DIALOG:
                dialog = await get_dialog(session, actor, choice.dialog_id)
                choice.dialog_id, choice.title = str(dialog.id), dialog.title
            await self._make_room(session, actor)
            row.chosen = choice.to_json()
            session.add(row)
            session.add(start_event(actor, what, how, choice, subject))
        self.jobs.hurry()
        return row

    async def list(self, actor: Actor) -> Sequence[Export]:
        """The actor's own exports that are not expired, newest first."""
        query = sa.select(Export).where(_own(actor)).order_by(col(Export.id).desc())
        async with self._db.read() as session:
            return (await session.scalars(query)).all()

    async def get(self, actor: Actor, export_id: object) -> Export:
        """Raises NotFound."""
        query = sa.select(Export).where(_own(actor), col(Export.id) == parse_id(export_id))
        async with self._db.read() as session:
            found = await session.scalar(query)
        if found is None:
            raise NotFound
        return found

    async def cancel(self, actor: Actor, export_id: object) -> bool:
        """Cancel one that is not made yet; one that is stays. Returns whether it was cancelled.

        Raises NotFound.
        """
        found = await self.get(actor, export_id)
        cancelled = {
            "state": JobState.CANCELLED,
            "finished_at": clock.now(),
            "expires_at": expiry(self._settings),
            "lease_until": None,
        }
        async with self._db.write() as session:
            stopped = await session.scalar(
                sa.update(Export)
                .where(col(Export.id) == found.id, col(Export.state).in_(UNDER_WAY))
                .values(**cancelled)
                .returning(col(Export.id))
            )
        if stopped is not None:
            self.jobs.cancel(found.id)
        return stopped is not None

    async def remove(self, actor: Actor, export_id: object) -> None:
        """Cancel one that is not made yet; forget one that is, with its file. Raises NotFound."""
        if await self.cancel(actor, export_id):
            return
        found = await self.get(actor, export_id)
        async with self._db.write() as session:
            await session.execute(sa.delete(Export).where(col(Export.id) == found.id))
        await asyncio.to_thread(self.jobs.unlink, found.file_name)

    async def open_file(self, actor: Actor, export_id: object) -> ExportFile:
        """The file, once the download is audited.

        Raises:
            NotFound: not the actor's, not made, expired; of everybody's dialogs also when the actor
                may not see them any more. `export_elsewhere`: it lies on another host.
        """
        row = await self.get(actor, export_id)
        kind = ExportKind(row.kind)
        if row.state != JobState.DONE or (kind in FOR_REVIEWERS and not actor.has(Role.REVIEWER)):
            raise NotFound
        if kind is ExportKind.DIALOGS and self._settings.review_mode == "off":
            raise NotFound
        path = self.jobs.directory / row.file_name
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
        """One user fills neither the queue nor the disk."""
        mine = col(Export.owner_id) == actor.user_id
        # one at a time for each user: two at once would both find room for the last one
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
        # their files are no row's any more: the sweep of their host takes them
        await session.execute(sa.delete(Export).where(col(Export.id).in_(old.all())))


async def _check_choice(db: Database, choice: ExportChoice) -> None:
    """Raises InvalidInput: while names are hidden, the choice finds too few people."""
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
    """Raises Forbidden: nobody looks at the dialogs of others here."""
    if settings.review_mode == "off":
        raise Forbidden(code="review_off")


async def find_people(db: Database, settings: Settings, choice: ExportChoice) -> uuid.UUID | None:
    """Turn the name in a choice into ids. Returns the one user whom the export is about.

    Raises:
        NotFound: user_not_found.
        InvalidInput: names_hidden: to ask for a name would tell whose the pseudonym is.
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
    """Write an export into a new file, for the operator. Audited before anything is read.

    Returns how many rows it holds. Raises as `Exports.start` and `ExportRun.write` do.
    """
    what, how, choice = choose(kind, format, chosen)
    if what is ExportKind.DIALOGS:
        check_mode(settings)
    subject = await find_people(db, settings, choice)
    async with db.write() as session:
        session.add(start_event(by, what, how, choice, subject))
    part = path.with_name(path.name + ".part")
    job = Job(what, how, choice, uuid.uuid4(), by, settings.locale)
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
    """The event of an export that begins."""
    facts: dict[str, Any] = {"kind": kind, "format": format, **choice.audit_details()}
    return event(Action.EXPORT, by=by, target=target_of(kind, choice), subject=subject, **facts)


def target_of(kind: ExportKind, choice: ExportChoice) -> str:
    """What an export is of, as the audit names it."""
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
