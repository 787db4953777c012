"""The tries that one login counts, and how they are settled when it ends."""

from genai_app.adapters.directory.client import AccountMatch
from genai_app.services.accounts.login_failures import CountedTry, FailurePolicy
from genai_app.services.accounts.login_limits import LoginLimits, Try


class LoginAttempt:
    """Counts the tries of one login and undoes or clears them together.

    Args:
        address: the client's address.

    Attributes:
        entry: the account in the directory, as soon as it was looked up; None: there is none.
    """

    def __init__(self, limits: LoginLimits, address: str) -> None:
        self.entry: AccountMatch | None = None
        self._limits = limits
        self._address = address
        self._tries: list[Try | CountedTry] = []

    async def take(
        self, name: str, entry: AccountMatch | None = None, policy: FailurePolicy | None = None
    ) -> None:
        """Counts a try before its password is sent.

        Args:
            name: the typed name, for the case that there is no entry.
            policy: when the directory locks accounts; None: it never does, or the account is local.

        Raises:
            RateLimited: too_many_logins, with the seconds until the next try.
        """
        self.entry = entry
        name = entry.username if entry else name
        if policy is not None:
            familiar = await self._limits.is_familiar(name, self._address)
            counted = await self._limits.failures.take(name, entry, policy, familiar=familiar)
            self._tries.append(counted)
        try:
            self._tries.append(await self._limits.take(name, self._address))
        except BaseException:
            if policy is not None:  # the try is not made, so it must not count
                await self._tries.pop().undo()
            raise

    async def undo(self) -> None:
        """Removes this login from the counts, when nothing shows that the password was wrong."""
        for each in self._tries:
            await each.undo()

    async def succeeded(self) -> None:
        """Clears the wrong passwords of this account and address after a right one."""
        for each in self._tries:
            await each.succeeded()
