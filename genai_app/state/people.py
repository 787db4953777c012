"""`/admin/users`: the list of accounts, and one of them opened."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import reflex as rx

from genai_app import clock
from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.services import services
from genai_app.services.acting import acting
from genai_app.services.people import MAX_SEARCH, PersonView
from genai_app.state.account_rows import KeyRow, LoginRow, key_row, login_rows
from genai_app.state.dates import moment_text
from genai_app.state.page import open_page

MAX_ROWS = 2000
MAX_FIELD = 200


@dataclass
class PersonRow:
    """One account of the list. `given`: where its role is from: "group", "granted" or ""."""

    id: str = ""
    username: str = ""
    full_name: str = ""
    department: str = ""
    origin: str = ""
    role: str = ""
    given: str = ""
    disabled: bool = False
    limit: str = ""  # of its own


class PeopleState(rx.State):
    """The list, and what it is narrowed to."""

    loaded: bool = False
    rows: list[PersonRow] = []
    has_more: bool = False
    error_code: str = ""
    search: str = ""
    role: str = ""
    shown: str = ""  # "", "active" or "disabled"

    _cursor: str | None = None

    @rx.event
    async def open(self):
        """Build the page. Runs at every load and reconnect."""
        (await self.get_state(PersonState))._close()
        await self._load()
        self.loaded = True
        return await open_page(self)

    @rx.event
    async def choose(self, name: str, text: str):
        """Narrow the list by one filter; "" opens it again."""
        if name in ("search", "role", "shown"):
            setattr(self, name, text[:MAX_SEARCH] if isinstance(text, str) else "")
            await self._load()

    @rx.event
    async def load_more(self):
        if self._cursor is not None and len(self.rows) < MAX_ROWS:
            await self._load(more=True)

    async def _load(self, *, more: bool = False) -> None:
        try:
            page = await services().people.list(
                acting(),
                search=self.search,
                role=Role(self.role) if self.role in set(Role) else None,
                disabled={"active": False, "disabled": True}.get(self.shown),
                cursor=self._cursor if more else None,
            )
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        self.rows = [*(self.rows if more else ()), *map(person_row, page.items)]
        self._cursor = page.next_cursor
        self.has_more = page.next_cursor is not None and len(self.rows) < MAX_ROWS


class PersonState(rx.State):
    """The account that is open. Everything is read again after each change."""

    id: str = ""
    row: PersonRow = PersonRow()
    mail: str = ""
    reason: str = ""  # why it is shut
    limit: str = ""  # the one that holds
    questions: int = 0
    tokens: int = 0
    last: dict[str, str] = {}
    logins: list[LoginRow] = []
    keys: list[KeyRow] = []
    error_code: str = ""
    own: bool = False

    def _close(self) -> None:
        self.id, self.row, self.error_code = "", PersonRow(), ""
        self.logins, self.keys = [], []

    @rx.event
    async def show(self, user_id: str):
        self._close()
        await self._load(user_id)

    @rx.event
    def close(self):
        self._close()

    @rx.event
    async def give_role(self, role: str):
        if role in set(Role):
            await self._do(services().people.set_role(acting(), self.id, Role(role)))

    @rx.event
    async def give_limit(self, text: str):
        if isinstance(text, str):
            await self._do(services().people.set_limit(acting(), self.id, text[:MAX_FIELD]))

    @rx.event
    async def move(self, department: str):
        if isinstance(department, str):
            told = department[:MAX_FIELD]
            await self._do(services().people.set_department(acting(), self.id, told))

    @rx.event
    async def disable(self):
        await self._do(services().people.disable(acting(), self.id))

    @rx.event
    async def enable(self):
        await self._do(services().people.enable(acting(), self.id))

    @rx.event
    async def end_login(self, session_id: str):
        await self._do(services().people.end_sessions(acting(), self.id, session_id))

    @rx.event
    async def end_logins(self):
        await self._do(services().people.end_sessions(acting(), self.id))

    @rx.event
    async def revoke(self, key_id: str):
        await self._do(services().people.revoke_key(acting(), self.id, key_id))

    async def _do(self, change: Awaitable[Any]) -> None:
        try:
            await change
        except AppError as error:
            self.error_code = error.code
            return
        await self._load(self.id)
        await (await self.get_state(PeopleState))._load()

    async def _load(self, user_id: str) -> None:
        try:
            view = await services().people.get(acting(), user_id)
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        self._fill(view)

    def _fill(self, view: PersonView) -> None:
        user = view.user
        self.id, self.row = str(user.id), person_row(user)
        self.mail, self.reason = user.mail, user.disabled_reason or ""
        self.limit = view.rate
        self.questions, self.tokens = view.usage.questions, view.usage.tokens
        self.last = moment_text(view.usage.last_at)
        self.logins = login_rows(view.sessions, acting().session_id)
        self.keys = [key_row(key, clock.now()) for key in view.keys]
        self.own = user.id == acting().user_id


def person_row(user: Any) -> PersonRow:
    """Of a User, or of a row with its columns."""
    given = "granted" if user.granted_role else "group" if user.group_role else ""
    return PersonRow(
        id=str(user.id),
        username=user.username,
        full_name=user.full_name or user.username,
        department=user.department,
        origin=user.origin,
        role=user.role,
        given=given,
        disabled=user.disabled_at is not None,
        limit=user.rate_limit or "",
    )
