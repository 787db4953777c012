"""Changes that administrators make to accounts. Each change and its event in the audit are one
transaction. Nobody changes their own role or disables their own account."""

import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, parse_id
from genai_app.db.database import Database
from genai_app.errors import Conflict, InvalidInput, NotFound
from genai_app.models import Action, ApiKey, Origin, Role, Session, User
from genai_app.services.accounts.api_keys import alive_key
from genai_app.services.accounts.login_failures import FailureCounter
from genai_app.services.accounts.sessions import live_session
from genai_app.services.accounts.users import MAX_FULL_NAME, Users
from genai_app.services.audit.events import Audit, event
from genai_app.settings.notations import parse_limit
from genai_app.text import clean_text


class AccountChanges:
    """Changes accounts for administrators. Every method raises Forbidden for other actors and
    NotFound for an unknown account."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._failures = FailureCounter(db)
        self._audit = Audit(db)

    async def set_role(self, actor: Actor, user_id: object, role: Role) -> None:
        """Sets the role. The groups of the directory may give a higher one, which then applies.
        Raises Conflict: own_account."""
        users, user = await self._prepare(actor, user_id, own=False)
        await users.set_role(user.username, role, Origin(user.origin))

    async def set_limit(self, actor: Actor, user_id: object, rate_limit: str) -> None:
        """Sets the account's own limit, such as `100/minute`; "": the limit of its role applies.
        Raises InvalidInput: bad_limit."""
        text = rate_limit.strip()
        try:
            if text:
                parse_limit(text)
        except ValueError:
            raise InvalidInput(code="bad_limit") from None
        users, user = await self._prepare(actor, user_id)
        await users.set_limit(user.username, text or None, Origin(user.origin))

    async def set_department(self, actor: Actor, user_id: object, department: str) -> None:
        """Sets the department of a local account. Raises Conflict: kept_by_directory."""
        _, user = await self._prepare(actor, user_id)
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
        """Disables an account and ends its sessions and running answers. Raises Conflict:
        own_account."""
        users, user = await self._prepare(actor, user_id, own=False)
        await users.disable(user.username, Origin(user.origin))

    async def enable(self, actor: Actor, user_id: object) -> None:
        """Enables an account."""
        users, user = await self._prepare(actor, user_id)
        await users.enable(user.username, Origin(user.origin))

    async def unlock(self, actor: Actor, user_id: object) -> None:
        """Ends the pause of logins after wrong passwords."""
        _, user = await self._prepare(actor, user_id)
        await self._failures.unlock(user.username, by=actor)

    async def end_sessions(
        self, actor: Actor, user_id: object, session_id: object | None = None
    ) -> int:
        """Ends one session of a user, or all of them. Returns their number. Raises NotFound for a
        session that is not live."""
        _, user = await self._prepare(actor, user_id)
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
        """Revokes an API key of a user. Raises NotFound for a key that is not valid."""
        _, user = await self._prepare(actor, user_id)
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

    async def _prepare(
        self, actor: Actor, user_id: object, *, own: bool = True
    ) -> tuple[Users, User]:
        """Returns a Users service that acts in the actor's name, and the account to change."""
        await self._audit.let_in(actor, Role.ADMIN, "users")
        users = Users(self._db, by=actor)
        user = await users.get(parse_id(user_id))
        if not own and user.id == actor.user_id:
            raise Conflict(code="own_account")
        return users, user
