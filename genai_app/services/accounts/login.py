"""Who is at the door: a name and a password become an account, or a refusal that tells nothing."""

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
    """Checks names and passwords. The client's address is that of services/audit/events.py.

    Args:
        limits: how often it may be tried; without them it is counted in this object.
        staff: the people of the directory; None: there is none.
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
        """The account of `username` if `password` is its own.

        An unknown name, a wrong password and a disabled account are refused in the same words after
        the same work; which it was stands in the log only.

        Raises:
            NotAuthenticated: wrong_credentials.
            Forbidden: the password is right; no_access: no group of theirs may enter; account_...:
                the directory refuses the account for a reason that its user may know.
            RateLimited: too_many_logins.
            DirectoryUnavailable, StorageUnavailable: nobody can tell.
        """
        # also a guard of the directory: an empty password is an anonymous bind, which succeeds
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
                await self._note(error, channel, attempt, news=True)
                raise
            except Forbidden as error:
                # only a login that the directory lets in makes it forget the wrong passwords
                is_in = error.code.startswith("no_access")
                await (attempt.succeeded() if is_in else attempt.undo())
                raise
            except DirectoryUnavailable as error:
                if "timeout" not in error.detail:  # a late controller may have counted it
                    await attempt.undo()
                raise
            await attempt.succeeded()
            return user

    async def has_password(self, actor: Actor) -> bool:
        """Whether the actor's password is kept here, and so can be changed here."""
        return (await self._users.get(actor.user_id)).origin == Origin.LOCAL

    async def change_password(self, actor: Actor, current: str, new: str) -> None:
        """Gives the actor's own local account a new password. Every other login of it ends; this
        one goes on.

        Raises:
            Forbidden: login_needed: an API key changes no password. wrong_current_password,
                counted as a wrong password at the login is.
            Conflict: password_elsewhere: the account is of the directory.
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
                await self._note(error, actor.channel, attempt, user, news=True)
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
        """A local account first, then the directory's: the same name in both is two people."""
        if self._local:
            checked = await self._check_local(username, password, attempt)
            if isinstance(checked, User):
                return checked
            if self._staff is None:
                raise await self._refuse(checked[0], channel, attempt, checked[1])
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
        """The account, or why not and whose it is."""
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
        except InvalidInput:  # a name that nobody can have
            return None

    async def _find_staff(self, attempt: LoginAttempt) -> User | None:
        """The account here of the entry that was found in the directory."""
        if attempt.found is None:
            return None
        async with self._db.read() as session:
            return await session.scalar(
                sa.select(User).where(col(User.external_id) == attempt.found.id)
            )

    async def _rehash(self, user: User, stored: str, password: str) -> None:
        hashed = await passwords.hash_password(password)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User)
                # not over a password that was changed meanwhile
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
        news: bool = False,
    ) -> None:
        """Writes a refused login to the audit, with the entry that was found in the directory."""
        account = attempt.found
        # no name that was not found: people type their password into the wrong field
        by = user or (account.username if account else "")
        row = event(
            Action.LOGIN, Outcome.REFUSED, by=by, channel=channel, reason=error.detail or error.code
        )
        if code := error.params.get("directory_code"):
            row.details += f" code={code}"
        if account:
            row.details += f" entry={account.id}"
        if news:
            # else whoever is refused could fill the table
            await self._audit.record_news(row, "login", network_of(client_address.get()))
        else:
            await self._audit.record(row)


def _refused(reason: str, user: User | None = None) -> NotAuthenticated:
    log.info("login.check_failed", reason=reason, user_id=str(user.id) if user else None)
    return NotAuthenticated(reason, code="wrong_credentials")
