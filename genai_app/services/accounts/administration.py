"""Accounts as administrators see and change them. Every change is an event in the audit, committed
with it; nobody changes their own role or shuts themselves out."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, parse_id
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.errors import Conflict, InvalidInput, NotFound
from genai_app.models import (
    Action,
    ApiKey,
    Author,
    Message,
    Origin,
    Role,
    Session,
    User,
)
from genai_app.services.accounts.api_keys import Keys, alive_key
from genai_app.services.accounts.login_failures import FailureCounter
from genai_app.services.accounts.sessions import Sessions, live_session
from genai_app.services.accounts.users import MAX_FULL_NAME, Users
from genai_app.services.audit.events import Audit, event
from genai_app.services.cursors import Cursors
from genai_app.services.limits.rate import Limits
from genai_app.settings.notations import limit_text, parse_limit
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
    """Rows with columns of User, by name."""

    items: Sequence[Any]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the last 30 days. `last_at`: the last question of these."""

    questions: int
    tokens: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class PersonView:
    """One account with all that is open in its name. `rate`: the limit that holds. `usage` is None
    where reviewers see pseudonyms: counts and times would tell whose one is. `login_at`: when a new
    address may try its password again; None: now."""

    user: User
    sessions: Sequence[Session]
    keys: Sequence[ApiKey]
    usage: Usage | None
    rate: str
    login_at: datetime | None


class People:
    """Lists accounts and changes them, for administrators alone."""

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
        """Accounts by name. `search`: a part of name, full name, department or mail.

        That a page was looked at is in the audit. Raises Forbidden, BadCursor.
        """
        await self._audit.let_in(actor, Role.ADMIN, "users")
        text = clean_text(search).strip()[:MAX_SEARCH]
        filters = {"search": text, "role": role, "disabled": disabled}
        cursors = self._cursors.of("people", actor, **filters)
        after = None if cursor is None else cursors.read(cursor, str, str)
        used = ",".join(name for name, value in filters.items() if value not in ("", None))
        seen = event(Action.ADMIN_VIEW, by=actor, target="users", filters=used or "none")
        await self._audit.record(seen)
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
        """One account. Raises Forbidden, NotFound."""
        await self._audit.let_in(actor, Role.ADMIN, "users")
        user = await self._user(user_id)
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
        mine = (
            messages.c.user_id == user_id,
            messages.c.created_at > clock.now() - timedelta(days=USAGE_DAYS),
            messages.c.author == Author.ASSISTANT,
        )
        tokens = sa.func.coalesce(messages.c.prompt_tokens, 0) + sa.func.coalesce(
            messages.c.completion_tokens, 0
        )
        query = sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(tokens), 0),
            sa.func.max(messages.c.created_at),
        ).where(*mine)
        async with self._db.read() as session:
            count, total, last_at = (await session.execute(query)).one()
        return Usage(count, int(total), last_at)

    async def set_role(self, actor: Actor, user_id: object, role: Role) -> None:
        """Grant a role; beside one that groups give the higher holds. Raises Forbidden, NotFound,
        Conflict for one's own."""
        users, user = await self._change(actor, user_id, own=False)
        await users.set_role(user.username, role, Origin(user.origin))

    async def set_limit(self, actor: Actor, user_id: object, rate_limit: str) -> None:
        """Give a limit of its own, such as `100/minute`; "": its role's again. Raises Forbidden,
        NotFound, InvalidInput."""
        text = rate_limit.strip()
        try:
            if text:
                parse_limit(text)
        except ValueError:
            raise InvalidInput(code="bad_limit") from None
        users, user = await self._change(actor, user_id)
        await users.set_limit(user.username, text or None, Origin(user.origin))

    async def set_department(self, actor: Actor, user_id: object, department: str) -> None:
        """Of a local account; the directory's word is the directory's. Raises Forbidden, NotFound,
        Conflict."""
        _, user = await self._change(actor, user_id)
        if user.origin != Origin.LOCAL:
            raise Conflict(code="kept_by_directory")
        chosen = clean_text(department).strip()[:MAX_FULL_NAME]
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == user.id).values(department=chosen)
            )
            session.add(
                event(
                    Action.SETTING_CHANGE,
                    by=actor,
                    target=user.username,
                    department=chosen or "none",
                )
            )

    async def disable(self, actor: Actor, user_id: object) -> None:
        """Shut an account with all that is open in its name. Raises Forbidden, NotFound, Conflict
        for one's own."""
        users, user = await self._change(actor, user_id, own=False)
        await users.disable(user.username, Origin(user.origin))

    async def enable(self, actor: Actor, user_id: object) -> None:
        """Open an account again. Raises Forbidden, NotFound."""
        users, user = await self._change(actor, user_id)
        await users.enable(user.username, Origin(user.origin))

    async def unlock(self, actor: Actor, user_id: object) -> None:
        """Lift the pause after wrong passwords. Raises Forbidden, NotFound."""
        _, user = await self._change(actor, user_id)
        await self._failures.unlock(user.username, by=actor)

    async def end_sessions(
        self, actor: Actor, user_id: object, session_id: object | None = None
    ) -> int:
        """End one login of a user, or all. Returns how many. Raises Forbidden, NotFound."""
        _, user = await self._change(actor, user_id)
        which = [col(Session.user_id) == user.id, live_session()]
        if session_id is not None:
            which.append(col(Session.id) == parse_id(session_id))
        async with self._db.write() as session:
            ended = await session.scalars(
                sa.update(Session)
                .where(*which)
                .values(ended_at=clock.now(), end_reason="revoked")
                .returning(col(Session.id))
            )
            count = len(ended.all())
            if session_id is not None and not count:
                raise NotFound
            session.add(event(Action.SESSION_REVOKE, by=actor, target=user.username, count=count))
        return count

    async def revoke_key(self, actor: Actor, user_id: object, key_id: object) -> None:
        """End an API key of a user at once. Raises Forbidden, NotFound."""
        _, user = await self._change(actor, user_id)
        async with self._db.write() as session:
            row = (
                await session.execute(
                    sa.update(ApiKey)
                    .where(
                        col(ApiKey.id) == parse_id(key_id),
                        col(ApiKey.user_id) == user.id,
                        alive_key(),
                    )
                    .values(revoked_at=clock.now())
                    .returning(col(ApiKey.hint))
                )
            ).one_or_none()
            if row is None:
                raise NotFound
            session.add(event(Action.KEY_REVOKE, by=actor, target=user.username, key=row.hint))

    async def _change(
        self, actor: Actor, user_id: object, *, own: bool = True
    ) -> tuple[Users, User]:
        """The account to change, and who changes accounts in the actor's name."""
        await self._audit.let_in(actor, Role.ADMIN, "users")
        user = await self._user(user_id)
        if not own and user.id == actor.user_id:
            raise Conflict(code="own_account")
        return Users(self._db, by=actor), user

    async def _user(self, user_id: object) -> User:
        return await Users(self._db).get(parse_id(user_id))
