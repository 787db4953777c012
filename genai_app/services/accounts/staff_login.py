"""Logins with a password of the directory; the account itself is a row of this database."""

from genai_app.adapters.directory.client import AccountMatch, Directory, Lockout
from genai_app.adapters.directory.names import parse_name
from genai_app.errors import DirectoryUnavailable, Forbidden, NotAuthenticated
from genai_app.models import User
from genai_app.services.accounts.directory_status import DirectoryStatus
from genai_app.services.accounts.login_attempts import LoginAttempt
from genai_app.services.accounts.login_failures import FailurePolicy
from genai_app.services.accounts.staff import Staff

ASSUMED_TRIES = 10  # when the directory does not say when it locks accounts
ASSUMED_WINDOW_S = 1800


class StaffLogin:
    """Logs people of the directory in.

    Args:
        lockout_tries: the number of wrong passwords after which the directory locks an account;
            0: it never does; None: the directory is asked.
    """

    def __init__(
        self,
        directory: Directory,
        status: DirectoryStatus,
        staff: Staff,
        *,
        lockout_tries: int | None = None,
    ) -> None:
        self._directory = directory
        self._status = status
        self._staff = staff
        self._lockout_tries = lockout_tries

    async def log_in(self, username: str, password: str, attempt: LoginAttempt) -> User:
        """Returns the account of the person, created at the first login.

        Args:
            attempt: counts the try after the entry was looked up, before the password is sent.

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
            await self._status.directory_failed(error)
            raise
        except (NotAuthenticated, Forbidden):
            self._status.directory_recovered()
            raise
        self._status.directory_recovered()
        return await self._staff.enter(person)

    async def _policy(self) -> FailurePolicy | None:
        """Returns when the directory locks accounts; None: it never does."""
        tries = self._lockout_tries
        if tries == 0:
            return None
        lockout = await self._directory.lockout()
        window_s = lockout.window_s if lockout else ASSUMED_WINDOW_S
        if tries is None:
            tries = lockout.tries if lockout else ASSUMED_TRIES
        return FailurePolicy.of(Lockout(tries, window_s))


def account_name(username: str) -> str:
    """Returns the account's short name, in whatever form it was typed; "" for an impossible
    name."""
    try:
        return parse_name(username).short
    except NotAuthenticated:
        return ""
