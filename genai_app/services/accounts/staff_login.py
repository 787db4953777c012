"""Logins by the directory: the password is checked there, the account is kept here."""

from genai_app.adapters.directory.client import AccountMatch, Directory, Lockout
from genai_app.adapters.directory.names import parse_name
from genai_app.errors import DirectoryUnavailable, Forbidden, NotAuthenticated
from genai_app.models import User
from genai_app.services.accounts.login_attempts import LoginAttempt
from genai_app.services.accounts.login_failures import FailurePolicy
from genai_app.services.accounts.rechecks import Rechecks
from genai_app.services.accounts.staff import Staff

ASSUMED_TRIES = 10  # of a directory that does not say when it locks an account
ASSUMED_WINDOW_S = 1800


class StaffLogin:
    """Lets people of the directory in.

    Args:
        lockout_tries: after how many wrong passwords the directory locks; None: it is asked.
    """

    def __init__(
        self,
        directory: Directory,
        staff: Staff,
        rechecks: Rechecks,
        *,
        lockout_tries: int | None = None,
    ) -> None:
        self._directory = directory
        self._staff = staff
        self._rechecks = rechecks
        self._lockout_tries = lockout_tries

    async def log_in(self, username: str, password: str, attempt: LoginAttempt) -> User:
        """The account of that person.

        Args:
            attempt: counts the try once the entry is found, before the password is presented.

        Raises:
            NotAuthenticated, DirectoryUnavailable, Forbidden: as Directory.log_in.
            Forbidden: no_access.
            RateLimited: too_many_logins.
        """
        policy = await self._policy()

        async def admit(account: AccountMatch | None) -> None:
            await attempt.take(account_name(username), account, policy)

        try:
            person = await self._directory.log_in(username, password, admit)
        except DirectoryUnavailable as error:
            await self._rechecks.note_lost(error)
            raise
        except (NotAuthenticated, Forbidden):
            self._rechecks.note_back()
            raise
        self._rechecks.note_back()
        return await self._staff.enter(person)

    async def _policy(self) -> FailurePolicy | None:
        """When the directory locks accounts; None: it never does."""
        tries = self._lockout_tries
        if tries == 0:
            return None
        lockout = await self._directory.lockout()
        window_s = lockout.window_s if lockout else ASSUMED_WINDOW_S
        if tries is None:
            tries = lockout.tries if lockout else ASSUMED_TRIES
        return FailurePolicy.of(Lockout(tries, window_s))


def account_name(username: str) -> str:
    """The account's own name in all forms that people type; "" for what cannot be one."""
    try:
        return parse_name(username).short
    except NotAuthenticated:
        return ""
