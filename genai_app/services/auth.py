"""Who is at the door: a name and a password become an account, or a refusal that tells nothing."""

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app.db import Database
from genai_app.errors import (
    DirectoryUnavailable,
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    RateLimited,
)
from genai_app.models import Channel, Origin, User
from genai_app.services import passwords
from genai_app.services.audit import Action, Audit, Outcome, client_address, event
from genai_app.services.login_limits import Amounts, LoginLimits, Try, network_of
from genai_app.services.staff_login import StaffLogin
from genai_app.services.users import Users

log = structlog.stdlib.get_logger(__name__)

MAX_FIELD = 1024


class Auth:
    """Checks names and passwords. The client's address is that of services/audit.py.

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
            Forbidden: no_access; the password is right, and no group of theirs may enter.
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
        async with self._limits.turn(name, client_address.get()):
            attempt = await self._take(name, channel)
            try:
                user = await self._check(username, password, channel)
            except Forbidden:
                await attempt.succeeded()
                raise
            except DirectoryUnavailable as error:
                if "timeout" not in error.detail:  # a late controller may have counted it
                    await attempt.undo()
                raise
            await attempt.succeeded()
            return user

    async def _take(self, username: str, channel: Channel) -> Try:
        amounts = Amounts() if self._staff is None else await self._staff.amounts()
        try:
            return await self._limits.take(username, client_address.get(), amounts)
        except RateLimited as error:
            log.info("login.check_failed", reason=error.code)
            await self._note(error.code, channel, news=True)
            raise

    async def _check(self, username: str, password: str, channel: Channel) -> User:
        """A local account first, then the directory's: the same name in both is two people."""
        if self._local:
            found = await self._check_local(username, password)
            if isinstance(found, User):
                return found
            if self._staff is None:
                raise await self._refuse(*found, channel)
        if self._staff is None:
            raise await self._refuse("no_login", None, channel)
        try:
            return await self._staff.log_in(username, password)
        except (NotAuthenticated, Forbidden) as error:
            user = await self._find(account_name(username), Origin.DIRECTORY)
            refused = await self._refuse(error.detail, user, channel)
            raise (error if isinstance(error, Forbidden) else refused) from None

    async def _check_local(self, username: str, password: str) -> User | tuple[str, User | None]:
        """The account, or why not and whose it is."""
        user = await self._find(username)
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

    async def _find(self, username: str, origin: Origin = Origin.LOCAL) -> User | None:
        try:
            return await self._users.find(username, origin)
        except InvalidInput:  # a name that nobody can have
            return None

    async def _rehash(self, user: User, stored: str, password: str) -> None:
        hashed = await passwords.hash_password(password)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User)
                # not over a password that was changed meanwhile
                .where(col(User.id) == user.id, col(User.password_hash) == stored)
                .values(password_hash=hashed)
            )

    async def _refuse(self, reason: str, user: User | None, channel: Channel) -> NotAuthenticated:
        await self._note(reason, channel, user)
        return _refused(reason, user)

    async def _note(
        self, reason: str, channel: Channel, user: User | None = None, *, news: bool = False
    ) -> None:
        # no unknown name: people type their password into the wrong field
        by = user or ""
        row = event(Action.LOGIN, Outcome.REFUSED, by=by, channel=channel, reason=reason)
        if news:
            # else whoever is refused could fill the table
            await self._audit.record_news(row, "login", network_of(client_address.get()))
        else:
            await self._audit.record(row)


def account_name(username: str) -> str:
    """The account's own name in `ivanov`, `CORP\\ivanov` and `ivanov@corp.example`: all of them are
    counted as one."""
    return username.rpartition("\\")[2].partition("@")[0].strip()


def _refused(reason: str, user: User | None = None) -> NotAuthenticated:
    log.info("login.check_failed", reason=reason, user_id=str(user.id) if user else None)
    return NotAuthenticated(reason, code="wrong_credentials")
