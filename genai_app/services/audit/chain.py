"""The hash chain of the audit: each row is sealed by a hash over itself and the previous hash, and
the end of the chain is signed in a file outside the database (the anchor).

A changed, removed or inserted row breaks the chain there. A chain whose last rows were removed, or
which was computed anew, does not end as the anchor says. Rows are sealed within seconds, in the
order of their ids; until then the loss of a row is not detected.
"""

import asyncio
import hashlib
import hmac
import json
import os
import tempfile
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock, metrics
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.errors import InvalidInput
from genai_app.i18n import translate
from genai_app.models import AuditEvent
from genai_app.services.audit.events import MIN_REASON, Action, event
from genai_app.services.background import every
from genai_app.zones import local_time

log = structlog.stdlib.get_logger(__name__)

FIRST = bytes(32)  # the hash before the first row
BATCH = 2000
SEAL_S = 1.0
LOCK_KEY = 0x6175646974  # "audit": one sealer at a time
SIGNING = b"genai audit anchor"
_TABLE = table_of(AuditEvent)
# hashed in this order; columns of later versions are appended
_HASHED = (
    *("id", "at", "action", "outcome", "actor_id", "actor_name", "target", "channel", "address"),
    *("request_id", "details", "subject_id", "reason"),
)
_COLUMNS = [_TABLE.c[name] for name in ("seq", "hash", *_HASHED)]


class Break(StrEnum):
    """The ways in which a chain is broken."""

    CHANGED = "changed"  # this row was changed after it was sealed
    MISSING = "missing"  # a row before this one was removed
    TAIL = "tail"  # the last rows were removed
    REWRITTEN = "rewritten"  # the chain is consistent, but does not match the anchor
    ANCHOR = "anchor"  # the anchor is damaged or was signed with another key


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """The result of a check.

    Attributes:
        count: rows that are intact.
        head: number of the last sealed row.
        anchored: number of the row that the anchor names, None without a valid anchor.
        broken: None for an intact chain.
        seq, event_id, at: of the row where the chain is broken, where there is one.
    """

    count: int
    head: int
    anchored: int | None
    broken: Break | None = None
    seq: int | None = None
    event_id: uuid.UUID | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """The end of the chain at a certain time."""

    seq: int
    hash: str
    at: str

    def signature(self, secret: bytes) -> str:
        key = hmac.digest(secret, SIGNING, "sha256")
        text = f"{self.seq} {self.hash} {self.at}"
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def row_hash(before: bytes, seq: int, row: Any) -> bytes:
    """Returns the SHA-256 over the previous hash, the number and every column, encoded as JSON."""
    values = [seq, *(_plain(getattr(row, name)) for name in _HASHED)]
    text = json.dumps(values, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(before + text.encode()).digest()


def _plain(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return None if value is None else str(value)


class AuditChain:
    """Seals rows and checks them.

    Args:
        path: of the anchor.
        secret: the key of its signature.
    """

    def __init__(self, db: Database, path: Path, secret: bytes) -> None:
        self._db = db
        self._path = path
        self._secret = secret
        self._suspect = False

    async def run(self) -> None:
        """Seals new rows until cancelled."""
        await every(SEAL_S, self.seal)

    async def seal(self) -> int:
        """Seals all rows that are not sealed, and signs the end. Returns the number of rows that
        this call sealed."""
        count = 0
        while True:
            async with self._db.read() as session:
                # without a lock: mostly there is nothing to do
                waiting = await session.scalar(
                    sa.select(col(AuditEvent.id)).where(col(AuditEvent.seq).is_(None)).limit(1)
                )
            if waiting is None:
                break
            async with self._db.write() as session:
                sealed = await self._seal_some(session)
            count += sealed
            if sealed < BATCH:
                break
        async with self._db.read() as session:
            await self._sign(session)
        return count

    async def _seal_some(self, session: AsyncSession) -> int:
        if not self._db.is_sqlite:
            await session.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_KEY)))
        seq, before = await _head(session)
        rows = (
            await session.execute(
                sa.select(*_COLUMNS)
                .where(_TABLE.c.seq.is_(None))
                .order_by(_TABLE.c.id)
                .limit(BATCH)
            )
        ).all()
        sealed: list[dict[str, object]] = []
        for row in rows:
            seq += 1
            before = row_hash(before, seq, row)
            sealed.append({"key": row.id, "number": seq, "seal": before})
        if sealed:
            await (await session.connection()).execute(
                sa.update(_TABLE)
                .where(_TABLE.c.id == sa.bindparam("key"))
                .values(seq=sa.bindparam("number"), hash=sa.bindparam("seal")),
                sealed,
            )
        return len(sealed)

    async def verify(self, progress: Callable[[int, int], None] | None = None) -> ChainCheck:
        """Checks every sealed row and the anchor. `progress` is called with the checked rows and
        the number of all rows."""
        async with self._db.read() as session:
            head, _ = await _head(session)
        anchor, damaged = self._read_anchor()
        anchored = anchor.seq if anchor else None
        count, before, at_anchor = 0, FIRST, ""
        async for row in self._sealed_rows():
            broken = None
            if row.seq != count + 1:
                broken = Break.MISSING
            elif row_hash(before, row.seq, row) != row.hash:
                broken = Break.CHANGED
            if broken is not None:
                return ChainCheck(count, head, anchored, broken, row.seq, row.id, row.at)
            count, before = row.seq, row.hash
            if count == anchored:
                at_anchor = before.hex()
            if progress is not None and count % BATCH == 0:
                progress(count, head)
        if damaged:
            return ChainCheck(count, head, None, Break.ANCHOR)
        if anchor is not None and anchor.seq > count:
            return ChainCheck(count, head, anchored, Break.TAIL, count + 1)
        if anchor is not None and anchor.hash != at_anchor and anchor.seq:
            return ChainCheck(count, head, anchored, Break.REWRITTEN, anchor.seq)
        return ChainCheck(count, head, anchored)

    async def _sealed_rows(self) -> AsyncGenerator[Any]:
        after = 0
        while True:
            async with self._db.read() as session:
                rows = (
                    await session.execute(
                        sa.select(*_COLUMNS)
                        .where(_TABLE.c.seq > after)
                        .order_by(_TABLE.c.seq)
                        .limit(BATCH)
                    )
                ).all()
            for row in rows:
                yield row
            if len(rows) < BATCH:
                return
            after = rows[-1].seq

    async def accept(self, by: str, why: str) -> None:
        """Signs the current end even if the anchor does not match it: an administrator knows the
        reason, such as a restored backup. The reason is recorded as an event.

        Raises:
            InvalidInput: reason_missing.
        """
        if len(why.strip()) < MIN_REASON:
            raise InvalidInput(code="reason_missing", least=MIN_REASON)
        async with self._db.write() as session:
            session.add(event(Action.AUDIT_ACCEPT, by=by, why=why.strip()))
        await self.seal()
        self._suspect = False
        async with self._db.read() as session:
            await asyncio.to_thread(self._write_anchor, *await _head(session))

    async def _sign(self, session: AsyncSession) -> None:
        """Moves the anchor forward. Keeps it when the chain became shorter or does not match it:
        the anchor is the only proof of the rows that existed."""
        seq, last = await _head(session)
        anchor, damaged = self._read_anchor()
        fits = not damaged
        if anchor is not None and anchor.seq:
            row_seal = await session.scalar(
                sa.select(_TABLE.c.hash).where(_TABLE.c.seq == anchor.seq)
            )
            fits = row_seal is not None and row_seal.hex() == anchor.hash
        if fits and seq > (anchor.seq if anchor else -1):
            await asyncio.to_thread(self._write_anchor, seq, last)
        if not fits and not self._suspect:
            log.error("audit.broken", anchored=anchor.seq if anchor else None, head=seq)
        self._suspect = not fits
        metrics.audit_holds(fits)

    def _read_anchor(self) -> tuple[Anchor | None, bool]:
        """Returns the anchor, None without a valid one; and whether the file exists but is damaged
        or its signature is wrong."""
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
            anchor = Anchor(int(record["seq"]), str(record["hash"]), str(record["at"]))
            signature = str(record["signature"])
        except FileNotFoundError:
            return None, False
        except (OSError, ValueError, KeyError, TypeError):
            return None, True
        if not hmac.compare_digest(signature, anchor.signature(self._secret)):
            return None, True
        return anchor, False

    def _write_anchor(self, seq: int, last: bytes) -> None:
        anchor = Anchor(seq, last.hex(), clock.now().isoformat(timespec="seconds"))
        record = {
            "seq": anchor.seq,
            "hash": anchor.hash,
            "at": anchor.at,
            "signature": anchor.signature(self._secret),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".anchor-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(record, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._path)
        except OSError as error:
            with suppress(FileNotFoundError):
                os.unlink(name)
            log.error("audit.anchor_not_written", path=str(self._path), error=str(error))


def sentence_of(check: ChainCheck, locale: str) -> str:
    """Returns the result of a check as a sentence."""
    if check.broken is None:
        return translate(locale, "audit.holds", count=check.count)
    at = f"{local_time(check.at):%Y-%m-%d %H:%M:%S %Z}" if check.at else ""
    return translate(
        locale,
        f"audit.{check.broken}",
        count=check.count,
        seq=check.seq or 0,
        at=at,
        anchored=check.anchored or 0,
    )


async def _head(session: AsyncSession) -> tuple[int, bytes]:
    """Returns number and hash of the last sealed row."""
    row = (
        await session.execute(
            sa.select(_TABLE.c.seq, _TABLE.c.hash)
            .where(_TABLE.c.seq.is_not(None))
            .order_by(_TABLE.c.seq.desc())
            .limit(1)
        )
    ).one_or_none()
    return (row.seq, row.hash) if row else (0, FIRST)
