"""`/admin/audit`: who did what, and whether the record of it holds."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import reflex as rx

from genai_app.errors import AppError
from genai_app.i18n import LOCALES
from genai_app.models import Action, Outcome, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.audit.chain import sentence_of
from genai_app.services.audit.log import MAX_TEXT, AuditFilters, AuditPage
from genai_app.services.audit.words import event_words
from genai_app.site_map import AUDIT
from genai_app.state.dates import moment_text
from genai_app.state.page import address, open_page, query_of, refilled, stays
from genai_app.zones import day_bound

# of the fields that are typed into, by the filter
FIELD_IDS = {name: f"audit-{name}" for name in ("actor", "target", "since", "until")}
FILTERS = ("action", "outcome", *FIELD_IDS)
MAX_ROWS = 1000


@dataclass
class AuditRow:
    """An event. `moment`, `sentence` and `facts` by language; `number`: its position in the chain,
    "" until it is sealed. `codes`: the codes of the record itself."""

    id: str
    moment: dict[str, str]
    actor: str
    full_name: str
    sentence: dict[str, str]
    facts: dict[str, str]
    name: str
    dialog_id: str
    refused: bool
    reason: str
    address: str
    number: str
    codes: str


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
    @allowed(Role.ADMIN)
    async def open(self):
        """Build the page. Runs at every load and reconnect."""
        chosen, fields = query_of(self, FILTERS, MAX_TEXT), []
        stayed = await stays(self)
        if not stayed:
            (await self.get_state(ChainState))._forget()
        if not stayed or chosen != self._chosen():
            fields = refilled(FIELD_IDS, self._chosen(), chosen)
            for name, value in chosen.items():
                setattr(self, name, value)
            await self._load()
        self.loaded = True
        return await open_page(self, *fields)

    def _chosen(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in FILTERS}

    @rx.event
    @allowed(Role.ADMIN)
    async def choose(self, name: str, text: str):
        """Narrow the list by one filter; "" opens it again."""
        if name not in FILTERS:
            return None
        setattr(self, name, text[:MAX_TEXT] if isinstance(text, str) else "")
        await self._load()
        # one entry of the browser's history, however much is typed
        return rx.redirect(address(AUDIT.address, self._chosen()), replace=True)

    @rx.event
    @allowed(Role.ADMIN)
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
        self.rows = [*(self.rows if more else ()), *_rows(page)]
        self._cursor = page.next_cursor
        self.has_more = page.next_cursor is not None and len(self.rows) < MAX_ROWS

    def _filters(self) -> AuditFilters:
        return AuditFilters(
            action=Action(self.action) if self.action in set(Action) else None,
            outcome=Outcome(self.outcome) if self.outcome in set(Outcome) else None,
            actor=self.actor,
            target=self.target,
            since=_day(self.since),
            until=_day(self.until, after=True),
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
    @allowed(Role.ADMIN)
    async def verify(self):
        """Check every row and the signed end."""
        log, actor = services().audit_log, acting()
        async with self:
            self._forget()
            self.checking = True
        progress = [(0, 0)]
        try:
            checking = asyncio.create_task(
                log.verify(actor, lambda count, head: progress.append((count, head)))
            )
            while not checking.done():
                await asyncio.wait([checking], timeout=0.25)
                async with self:
                    self.checked, self.head = progress[-1]
            result = checking.result()
            async with self:
                self.holds = result.broken is None
                self.sentence = {locale: sentence_of(result, locale) for locale in LOCALES}
        except AppError as error:
            async with self:
                self.error_code = error.code
        finally:
            async with self:
                self.checking = False


def _rows(page: AuditPage) -> list[AuditRow]:
    return [_row(row, page.full_names.get(row.actor_id, "")) for row in page.items]


def _row(row: Any, full_name: str) -> AuditRow:
    words = event_words(row, LOCALES)
    return AuditRow(
        id=str(row.id),
        moment=moment_text(row.at),
        actor=row.actor_name,
        full_name=full_name,
        sentence=words.sentence,
        facts=words.facts,
        name=words.name,
        dialog_id=words.dialog_id,
        refused=row.outcome == Outcome.REFUSED,
        reason=row.reason,
        address=row.address,
        number=str(row.seq or ""),
        codes=" ".join(filter(None, (row.action, row.outcome, row.target, row.details))),
    )


def _day(text: str, *, after: bool = False) -> datetime | None:
    """Returns the beginning of a day in the browser's time zone; None for what is no day."""
    try:
        return day_bound(text, after=after)
    except ValueError:
        return None
