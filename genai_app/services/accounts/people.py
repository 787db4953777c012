"""Accounts as administrators see them. Every page of the list that is opened is audited."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from genai_app import clock
from genai_app.access import Actor, parse_id
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.models import Action, ApiKey, Author, Message, Role, Session, User
from genai_app.services.accounts.api_keys import Keys
from genai_app.services.accounts.login_failures import FailureCounter
from genai_app.services.accounts.sessions import Sessions
from genai_app.services.accounts.users import Users
from genai_app.services.audit.events import Audit, event
from genai_app.services.cursors import Cursors
from genai_app.services.limits.rate import Limits
from genai_app.settings.notations import limit_text
from genai_app.text import LIKE_ESCAPE, clean_text, like_literal
from genai_app.zones import utc_day

PAGE = 50
MAX_PAGE = 200
MAX_SEARCH = 100
USAGE_DAYS = 30
_USERS = table_of(User)
_LISTED = [
    _USERS.c[name]
    for name in (
        *("id", "username", "origin", "full_name", "department", "role", "group_role"),
        *("granted_role", "disabled_at", "disabled_reason", "rate_limit", "held_at"),
    )
]


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """A page of the list. `items`: rows with the columns _LISTED of User, sorted by name."""

    items: Sequence[Any]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """A user's questions of the last USAGE_DAYS days; `last_at`: the time of the latest one."""

    questions: int
    tokens: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class PersonView:
    """An account with its live sessions and API keys.

    Args:
        usage: None in pseudonymous review, because counts and times would show which dialogs are
            this user's.
        rate: the limit that applies.
        login_at: when a new address may try the password again; None: now.
    """

    user: User
    sessions: Sequence[Session]
    keys: Sequence[ApiKey]
    usage: Usage | None
    rate: str
    login_at: datetime | None


class People:
    """Shows accounts to administrators.

    Args:
        names_hidden: reviewers see pseudonyms.
    """

    def __init__(
        self,
        db: Database,
        cursors: Cursors,
        sessions: Sessions,
        keys: Keys,
        limits: Limits,
        *,
        names_hidden: bool = False,
    ) -> None:
        self._db = db
        self._cursors = cursors
        self._sessions = sessions
        self._keys = keys
        self._limits = limits
        self._names_hidden = names_hidden
        self._failures = FailureCounter(db)
        self._audit = Audit(db)

    async def list(
        self,
        actor: Actor,
        *,
        search: str = "",
        role: Role | None = None,
        disabled: bool | None = None,
        cursor: str | None = None,
        limit: int = PAGE,
    ) -> PeoplePage:
        """Returns a page of accounts by name.

        Args:
            search: a part of the name, full name, department or mail address.

        Raises:
            Forbidden, BadCursor
        """
        await self._audit.let_in(actor, Role.ADMIN, "users")
        text = clean_text(search).strip()[:MAX_SEARCH]
        filters = {"search": text, "role": role, "disabled": disabled}
        cursors = self._cursors.of("people", actor, **filters)
        after = None if cursor is None else cursors.read(cursor, str, str)
        used = ",".join(name for name, value in filters.items() if value not in ("", None))
        viewed = event(Action.ADMIN_VIEW, by=actor, target="users", filters=used or "none")
        await self._audit.record(viewed)
        limit = max(1, min(limit, MAX_PAGE))
        order = (_USERS.c.username, _USERS.c.origin)
        query = sa.select(*_LISTED).order_by(*order).limit(limit + 1)
        if text:
            part = f"%{like_literal(text.lower())}%"
            names = ("username", "full_name", "department", "mail")
            conditions = [
                sa.func.lower(_USERS.c[name]).like(part, escape=LIKE_ESCAPE) for name in names
            ]
            query = query.where(sa.or_(*conditions))
        if role is not None:
            query = query.where(_USERS.c.role == role)
        if disabled is not None:
            query = query.where(_USERS.c.disabled_at.is_not(None) == disabled)
        if after is not None:
            query = query.where(sa.tuple_(*order) > sa.tuple_(*after))
        async with self._db.read() as session:
            rows = (await session.execute(query)).all()
        items = rows[:limit]
        more = cursors.make(items[-1].username, items[-1].origin) if len(rows) > limit else None
        return PeoplePage(items, more)

    async def get(self, actor: Actor, user_id: object) -> PersonView:
        """Returns an account. Raises Forbidden, NotFound."""
        await self._audit.let_in(actor, Role.ADMIN, "users")
        user = await Users(self._db).get(parse_id(user_id))
        rate = self._limits.rate_of(user.role, user.rate_limit)
        keys = await self._keys.list_of(user.id)
        if self._names_hidden:
            for key in keys:
                key.last_used_at = utc_day(key.last_used_at) if key.last_used_at else None
        return PersonView(
            user=user,
            sessions=await self._sessions.list_of(user.id),
            keys=keys,
            usage=None if self._names_hidden else await self._usage(user.id),
            rate=limit_text(rate),
            login_at=await self._failures.next_at(user),
        )

    async def _usage(self, user_id: uuid.UUID) -> Usage:
        messages = table_of(Message)
        conditions = (
            messages.c.user_id == user_id,
            messages.c.created_at > clock.now() - timedelta(days=USAGE_DAYS),
            messages.c.author == Author.ASSISTANT,
            messages.c.source.is_not(None),  # imported, or a client's own history: not ours
        )
        tokens = sa.func.coalesce(messages.c.prompt_tokens, 0) + sa.func.coalesce(
            messages.c.completion_tokens, 0
        )
        query = sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(tokens), 0),
            sa.func.max(messages.c.created_at),
        ).where(*conditions)
        async with self._db.read() as session:
            count, total, last_at = (await session.execute(query)).one()
        return Usage(count, int(total), last_at)
