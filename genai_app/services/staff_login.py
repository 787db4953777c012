"""Logins by the directory: the password is checked there, the account is kept here."""

from genai_app.adapters.directory import Directory
from genai_app.errors import DirectoryUnavailable, NotAuthenticated
from genai_app.models import User
from genai_app.services.login_limits import Amounts, amounts_below
from genai_app.services.rechecks import Rechecks
from genai_app.services.staff import Staff

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

    async def log_in(self, username: str, password: str) -> User:
        """
        Raises:
            NotAuthenticated, DirectoryUnavailable: as Directory.log_in.
            Forbidden: no_access.
        """
        try:
            person = await self._directory.log_in(username, password)
        except DirectoryUnavailable as error:
            await self._rechecks.note_lost(error)
            raise
        except NotAuthenticated:
            self._rechecks.note_back()
            raise
        self._rechecks.note_back()
        return await self._staff.enter(person)

    async def amounts(self) -> Amounts:
        """How many wrong passwords are let through, below what the directory takes."""
        if self._lockout_tries is not None:
            return amounts_below(self._lockout_tries, ASSUMED_WINDOW_S)
        known = await self._directory.lockout()
        if known is None:
            return amounts_below(ASSUMED_TRIES, ASSUMED_WINDOW_S)
        return amounts_below(known.tries, known.window_s)
