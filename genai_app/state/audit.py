"""`/admin/audit`: who did what, and whether the record of it holds."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

import reflex as rx

from genai_app.errors import AppError
from genai_app.i18n import LOCALES
from genai_app.models import Action, Outcome
from genai_app.services import services
from genai_app.services.acting import acting
from genai_app.services.audit_chain import sentence_of
from genai_app.services.audit_log import MAX_TEXT, AuditFilters
from genai_app.state.dates import moment_text
from genai_app.state.page import open_page

MAX_ROWS = 1000


@dataclass
class AuditRow:
    """One event. `moment` by language; `number`: its place in the chain, "" until it is sealed."""

    id: str
    moment: dict[str, str]
    actor: str
    action: str
    outcome: str
    target: str
    details: str
    reason: str
    address: str
    channel: str
    number: str


class AuditState(rx.State):
    """The list, and what it is narrowed to."""

    loaded: bool = False
    rows: list[AuditRow] = []
    has_more: bool = False
    error_code: str = ""
    action: str = ""
    outcome: str = ""
    actor: str = ""
    target: str = ""
    since: str = ""
    until: str = ""

    _cursor: str | None = None

    @rx.event
    async def open(self):
        """Build the page. Runs at every load and reconnect."""
        (await self.get_state(ChainState))._forget()
        await self._load()
        self.loaded = True
        return await open_page(self)

    @rx.event
    async def choose(self, name: str, text: str):
        """Narrow the list by one filter; "" opens it again."""
        if name not in ("action", "outcome", "actor", "target", "since", "until"):
            return
        setattr(self, name, text[:MAX_TEXT] if isinstance(text, str) else "")
        await self._load()

    @rx.event
    async def load_more(self):
        if self._cursor is not None and len(self.rows) < MAX_ROWS:
            await self._load(more=True)

    async def _load(self, *, more: bool = False) -> None:
        try:
            page = await services().audit_log.list(
                acting(), self._filters(), cursor=self._cursor if more else None
            )
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        self.rows = [*(self.rows if more else ()), *_rows(page.items)]
        self._cursor = page.next_cursor
        self.has_more = page.next_cursor is not None and len(self.rows) < MAX_ROWS

    def _filters(self) -> AuditFilters:
        until = _day(self.until)
        return AuditFilters(
            action=Action(self.action) if self.action in set(Action) else None,
            outcome=Outcome(self.outcome) if self.outcome in set(Outcome) else None,
            actor=self.actor,
            target=self.target,
            since=_day(self.since),
            until=until + timedelta(days=1) if until else None,
        )


class ChainState(rx.State):
    """The check of the chain, as it goes on."""

    checking: bool = False
    checked: int = 0
    head: int = 0
    sentence: dict[str, str] = {}
    holds: bool = False
    error_code: str = ""

    def _forget(self) -> None:
        self.sentence, self.error_code = {}, ""
        self.checked = self.head = 0

    @rx.event(background=True, supersedes=True)
    async def verify(self):
        """Check every row and the signed end."""
        log, actor = services().audit_log, acting()
        async with self:
            self._forget()
            self.checking = True
        told = [(0, 0)]
        try:
            checking = asyncio.create_task(
                log.verify(actor, lambda count, head: told.append((count, head)))
            )
            while not checking.done():
                await asyncio.wait([checking], timeout=0.25)
                async with self:
                    self.checked, self.head = told[-1]
            found = checking.result()
            async with self:
                self.holds = found.broken is None
                self.sentence = {locale: sentence_of(found, locale) for locale in LOCALES}
        except AppError as error:
            async with self:
                self.error_code = error.code
        finally:
            async with self:
                self.checking = False


def _rows(items: Sequence[Any]) -> list[AuditRow]:
    return [
        AuditRow(
            id=str(row.id),
            moment=moment_text(row.at),
            actor=row.actor_name,
            action=row.action,
            outcome=row.outcome,
            target=row.target,
            details=row.details,
            reason=row.reason,
            address=row.address,
            channel=row.channel,
            number=str(row.seq or ""),
        )
        for row in items
    ]


def _day(text: str) -> datetime | None:
    """Midnight of a day in the server's time zone; None for what is no day."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
        return datetime.combine(day, time()).astimezone()
    except (ValueError, OverflowError):
        return None
