"""One login, from the typed name to its end: which account was found, and what counts its tries."""

from genai_app.adapters.directory.client import AccountMatch
from genai_app.services.accounts.login_failures import CountedTry, FailurePolicy
from genai_app.services.accounts.login_limits import LoginLimits, Try


class LoginAttempt:
    """Takes this login's tries, and gives them back together.

    Args:
        address: of the client.
    """

    def __init__(self, limits: LoginLimits, address: str) -> None:
        self.found: AccountMatch | None = None  # in the directory
        self._limits = limits
        self._address = address
        self._tries: list[Try | CountedTry] = []

    async def take(
        self, name: str, found: AccountMatch | None = None, policy: FailurePolicy | None = None
    ) -> None:
        """Counts a try of the account before its password is presented.

        Args:
            name: as typed, where no entry of the directory was found.
            policy: when the directory locks accounts; None: it never does, or does not keep this.

        Raises:
            RateLimited: too_many_logins, with the seconds until the next try.
        """
        self.found = found
        name = found.username if found else name
        if policy is not None:
            known = await self._limits.is_known(name, self._address)
            counted = await self._limits.failures.take(name, found, policy, known=known)
            self._tries.append(counted)
        try:
            self._tries.append(await self._limits.take(name, self._address))
        except BaseException:
            if policy is not None:  # a try that was not made counts nowhere
                await self._tries.pop().undo()
            raise

    async def undo(self) -> None:
        """Nothing shows that the password was wrong: counts this login nowhere."""
        for each in self._tries:
            await each.undo()

    async def succeeded(self) -> None:
        """The password was right: forgets the wrong ones of this account and address."""
        for each in self._tries:
            await each.succeeded()
