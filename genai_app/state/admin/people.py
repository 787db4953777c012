"""`/admin/users`: the list of accounts and the account that is open."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import reflex as rx

from genai_app import clock
from genai_app.errors import AppError
from genai_app.i18n import LOCALES, duration_text
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.accounts.people import MAX_SEARCH, PersonView
from genai_app.settings.notations import limit_words
from genai_app.site_map import PEOPLE
from genai_app.state.account.rows import KeyRow, LoginRow, key_row, login_rows
from genai_app.state.dates import moment_text
from genai_app.state.page import address, open_page, part_of, query_of, refilled, stays

FILTERS = ("search", "role", "shown")
SEARCH_ID = "people-search"
MAX_ROWS = 2000


@dataclass
class PersonRow:
    """An account in the list. `role_origin`: "group" (of the directory), "granted" (by an
    administrator), or "" for the default role."""

    id: str = ""
    username: str = ""
    full_name: str = ""
    department: str = ""
    origin: str = ""
    role: str = ""
    role_origin: str = ""
    disabled: bool = False
    limit: str = ""  # the account's own, as it was entered
    limit_words: dict[str, str] = field(default_factory=dict[str, str])


class PeopleState(rx.State):
    """The list of accounts and its filters."""

    loaded: bool = False
    rows: list[PersonRow] = []
    has_more: bool = False
    error_code: str = ""
    search: str = ""
    role: str = ""
    shown: str = ""  # "", "active" or "disabled"
    query: str = ""  # the filters in the page's address: `?role=admin`, or ""

    _cursor: str | None = None

    @rx.event
    @allowed(Role.ADMIN)
    async def open(self):
        """Builds the page at every load and reconnect."""
        person = await self.get_state(PersonState)
        chosen, fields = query_of(self, FILTERS, MAX_SEARCH), []
        stayed = await stays(self)
        if not stayed or chosen != self._chosen():
            fields = refilled({"search": SEARCH_ID}, self._chosen(), chosen)
            self.search, self.role, self.shown = (chosen[name] for name in FILTERS)
            await self._load()
        user_id = part_of(self, PEOPLE.address)
        if not stayed or user_id != person.id:
            person._close()
            if user_id:
                await person._load(user_id)
        self.loaded = True
        return await open_page(self, *fields)

    def _chosen(self) -> dict[str, str]:
        return {"search": self.search, "role": self.role, "shown": self.shown}

    def _go(self, user_id: str, *, replace: bool = False):
        """Redirects to the address of an account, or of the list when `user_id` is ""."""
        path = f"{PEOPLE.address}/{user_id}" if user_id else PEOPLE.address
        return rx.redirect(path + self.query, replace=replace)

    @rx.event
    @allowed(Role.ADMIN)
    async def choose(self, name: str, text: str):
        """Sets the filter `name`; "" removes it."""
        if name in FILTERS:
            setattr(self, name, text[:MAX_SEARCH] if isinstance(text, str) else "")
            await self._load()
            return self._go("", replace=True)  # typing adds no entries to the history
        return None

    @rx.event
    @allowed(Role.ADMIN)
    async def load_more(self):
        if self._cursor is not None and len(self.rows) < MAX_ROWS:
            await self._load(more=True)

    async def _load(self, *, more: bool = False) -> None:
        self.query = address("", self._chosen())
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
    """The account that is open; its id is "" while the list is shown."""

    id: str = ""
    row: PersonRow = PersonRow()
    mail: str = ""
    reason: str = ""  # why the account is disabled
    limit: dict[str, str] = {}  # the limit that applies, in words by language
    questions: str = ""
    tokens: str = ""
    last: dict[str, str] = {}
    logins: list[LoginRow] = []
    keys: list[KeyRow] = []
    error_code: str = ""
    own: bool = False
    login_wait: dict[str, str] = {}  # until the next login, by language; {} without a pause

    def _close(self) -> None:
        self.id, self.row, self.error_code = "", PersonRow(), ""
        self.logins, self.keys = [], []

    @rx.event
    @allowed(Role.ADMIN)
    async def show(self, user_id: str):
        self._close()
        await self._load(user_id)
        return (await self.get_state(PeopleState))._go(self.id)

    @rx.event
    @allowed(Role.ADMIN)
    async def close(self):
        self._close()
        return (await self.get_state(PeopleState))._go("")

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
        self.limit = _limit_text(view.rate)
        usage = view.usage
        self.questions = str(usage.questions) if usage else "—"  # hidden in pseudonymous review
        self.tokens = str(usage.tokens) if usage else "—"
        self.last = moment_text(usage.last_at if usage else None)
        self.logins = login_rows(view.sessions, acting().session_id)
        self.keys = [key_row(key, clock.now()) for key in view.keys]
        self.own = user.id == acting().user_id
        self.login_wait = wait_texts(view.login_at)


def wait_texts(moment: datetime | None) -> dict[str, str]:
    """Returns the time left until `moment` in words, by language; {} for None."""
    if moment is None:
        return {}
    seconds = max(1, (moment - clock.now()).total_seconds())
    return {locale: duration_text(locale, seconds) for locale in LOCALES}


def person_row(user: Any) -> PersonRow:
    """Returns the display row of a User, or of a row with the same columns."""
    role_origin = "granted" if user.granted_role else "group" if user.group_role else ""
    return PersonRow(
        id=str(user.id),
        username=user.username,
        full_name=user.full_name or user.username,
        department=user.department,
        origin=user.origin,
        role=user.role,
        role_origin=role_origin,
        disabled=user.disabled_at is not None,
        limit=user.rate_limit or "",
        limit_words=_limit_text(user.rate_limit or ""),
    )


def _limit_text(limit: str) -> dict[str, str]:
    return {locale: limit_words(limit, locale) for locale in LOCALES}
