"""Checks names and passwords at the login. A refusal does not show whether the account exists."""

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import (
    AppError,
    Conflict,
    DirectoryUnavailable,
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    RateLimited,
)
from genai_app.models import Channel, Origin, User
from genai_app.services.accounts import passwords
from genai_app.services.accounts.login_attempts import LoginAttempt
from genai_app.services.accounts.login_limits import LoginLimits, network_of
from genai_app.services.accounts.sessions import end_sessions
from genai_app.services.accounts.staff_login import StaffLogin, account_name
from genai_app.services.accounts.users import Users
from genai_app.services.audit.events import Action, Audit, Outcome, client_address, event

log = structlog.stdlib.get_logger(__name__)

MAX_FIELD = 1024


class Auth:
    """Checks names and passwords and changes a user's own password. The client's address comes from
    services/audit/events.py.

    Args:
        limits: None: attempts are counted in this object.
        staff: logins with the directory; None: there is no directory.
        local: whether local accounts may log in.
    """

    def __init__(
        self,
        db: Database,
        limits: LoginLimits | None = None,
        staff: StaffLogin | None = None,
        *,
        local: bool = True,
    ) -> None:
        self._db = db
        self._users = Users(db)
        self._limits = limits or LoginLimits(db)
        self._staff = staff
        self._local = local
        self._audit = Audit(db)
        passwords.prepare()

    async def log_in(
        self, username: str | None, password: str | None, channel: Channel = Channel.WEB
    ) -> User:
        """Returns the account of `username` if the password is right.

        An unknown name, a wrong password and a disabled account get the same answer after the same
        work; the reason is only in the log and the audit.

        Raises:
            NotAuthenticated: wrong_credentials.
            Forbidden: the password is right, but: no_access: no group of the user may log in;
                account_...: the directory refuses the account for a reason that the user may know.
            RateLimited: too_many_logins.
            DirectoryUnavailable, StorageUnavailable
        """
        # a bind with an empty password is anonymous and would succeed
        if not password or not password.strip():
            raise _refused("blank_password")
        username = username or ""
        if len(username) > MAX_FIELD or len(password) > MAX_FIELD:
            raise _refused("too_long")
        name = username if self._staff is None else account_name(username)
        address = client_address.get()
        async with self._limits.turn(name, address):
            attempt = LoginAttempt(self._limits, address)
            try:
                if self._staff is not None:
                    await self._limits.check_address(name, address)
                user = await self._check(username, password, channel, attempt)
            except RateLimited as error:
                log.info("login.check_failed", reason=error.code)
                await self._note(error, channel, attempt, rarely=True)
                raise
            except Forbidden as error:
                # the directory clears the wrong passwords only after a login that it accepts
                accepted = error.code.startswith("no_access")
                await (attempt.succeeded() if accepted else attempt.undo())
                raise
            except DirectoryUnavailable as error:
                if "timeout" not in error.detail:  # a slow controller may have counted it
                    await attempt.undo()
                raise
            await attempt.succeeded()
            return user

    async def has_password(self, actor: Actor) -> bool:
        """Returns whether the actor's account is local and has its password in this database."""
        return (await self._users.get(actor.user_id)).origin == Origin.LOCAL

    async def change_password(self, actor: Actor, current: str, new: str) -> None:
        """Changes the password of the actor's own local account and ends its other sessions.

        Raises:
            Forbidden: login_needed: the actor has an API key instead of a session;
                wrong_current_password, which counts like a wrong password at the login.
            Conflict: password_elsewhere: the account belongs to the directory.
            InvalidInput: weak_password.
            RateLimited: too_many_logins.
        """
        if actor.session_id is None:
            raise Forbidden(code="login_needed")
        user = await self._users.get(actor.user_id)
        if user.origin != Origin.LOCAL:
            raise Conflict(code="password_elsewhere")
        passwords.check_password(new)
        async with self._limits.turn(user.username, client_address.get()):
            attempt = LoginAttempt(self._limits, client_address.get())
            try:
                await attempt.take(user.username)
            except RateLimited as error:
                log.info("login.check_failed", reason=error.code)
                await self._note(error, actor.channel, attempt, user, rarely=True)
                raise
            current = current if len(current) <= MAX_FIELD else ""
            if not await passwords.verify_password(current, user.password_hash):
                refused = event(
                    *(Action.USER_PASSWORD, Outcome.REFUSED),
                    by=actor,
                    target=user.username,
                    reason="wrong_password",
                )
                await self._audit.record(refused)
                raise Forbidden(code="wrong_current_password")
            await attempt.succeeded()
            await self._store_password(actor, new)

    async def _store_password(self, actor: Actor, password: str) -> None:
        """Stores the new password and ends the account's sessions except the actor's."""
        hashed = await passwords.hash_password(password)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == actor.user_id).values(password_hash=hashed)
            )
            await end_sessions(session, actor.user_id, "password_changed", but=actor.session_id)
            session.add(event(Action.USER_PASSWORD, by=actor, target=actor.username))

    async def _check(
        self, username: str, password: str, channel: Channel, attempt: LoginAttempt
    ) -> User:
        """Checks the local account first, then the directory's. The same name in both means two
        people."""
        if self._local:
            outcome = await self._check_local(username, password, attempt)
            if isinstance(outcome, User):
                return outcome
            if self._staff is None:
                raise await self._refuse(outcome[0], channel, attempt, outcome[1])
        if self._staff is None:
            raise await self._refuse("no_login", channel, attempt)
        try:
            return await self._staff.log_in(username, password, attempt)
        except (NotAuthenticated, Forbidden) as error:
            user = await self._find_staff(attempt)
            await self._note(error, channel, attempt, user)
            refused = _refused(error.detail, user)
            raise (error if isinstance(error, Forbidden) else refused) from None

    async def _check_local(
        self, username: str, password: str, attempt: LoginAttempt
    ) -> User | tuple[str, User | None]:
        """Returns the account, or a reason and, where the account exists, the account."""
        user = await self._find(username)
        if user is not None or self._staff is None:
            await attempt.take(username)
        stored = user.password_hash if user else None
        matches = await passwords.verify_password(password, stored)
        if user is None or stored is None:
            return "unknown_user", None
        if not matches:
            return "wrong_password", user
        if user.disabled_at is not None:
            return "disabled", user
        if passwords.needs_update(stored):
            await self._rehash(user, stored, password)
        return user

    async def _find(self, username: str) -> User | None:
        try:
            return await self._users.find(username, Origin.LOCAL)
        except InvalidInput:  # an impossible name
            return None

    async def _find_staff(self, attempt: LoginAttempt) -> User | None:
        """Returns the account of the attempt's entry in the directory."""
        if attempt.entry is None:
            return None
        async with self._db.read() as session:
            return await session.scalar(
                sa.select(User).where(col(User.external_id) == attempt.entry.id)
            )

    async def _rehash(self, user: User, stored: str, password: str) -> None:
        hashed = await passwords.hash_password(password)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User)
                # a password that was changed meanwhile stays
                .where(col(User.id) == user.id, col(User.password_hash) == stored)
                .values(password_hash=hashed)
            )

    async def _refuse(
        self, reason: str, channel: Channel, attempt: LoginAttempt, user: User | None = None
    ) -> NotAuthenticated:
        error = NotAuthenticated(reason, code="wrong_credentials")
        await self._note(error, channel, attempt, user)
        return _refused(reason, user)

    async def _note(
        self,
        error: AppError,
        channel: Channel,
        attempt: LoginAttempt,
        user: User | None = None,
        *,
        rarely: bool = False,
    ) -> None:
        """Writes a refused login to the audit, with the entry in the directory.

        Args:
            rarely: repeated refusals of one network are recorded once, or they could fill the
                table.
        """
        entry = attempt.entry
        # no name without an account: people type their password into the wrong field
        by = user or (entry.username if entry else "")
        row = event(
            Action.LOGIN, Outcome.REFUSED, by=by, channel=channel, reason=error.detail or error.code
        )
        if code := error.params.get("directory_code"):
            row.details += f" code={code}"
        if entry:
            row.details += f" entry={entry.id}"
        if rarely:
            await self._audit.record_news(row, "login", network_of(client_address.get()))
        else:
            await self._audit.record(row)


def _refused(reason: str, user: User | None = None) -> NotAuthenticated:
    log.info("login.check_failed", reason=reason, user_id=str(user.id) if user else None)
    return NotAuthenticated(reason, code="wrong_credentials")
