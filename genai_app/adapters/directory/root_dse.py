"""The root entry of a controller (its kind and its contexts) and its policy of lockout."""

from dataclasses import dataclass

from genai_app.adapters.directory.entries import Entry
from genai_app.adapters.directory.link import Link
from genai_app.adapters.directory.names import is_below
from genai_app.errors import DirectoryUnavailable

ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"
TICKS_PER_S = 10_000_000  # Active Directory counts time in tenths of a microsecond


@dataclass(frozen=True, slots=True)
class Root:
    """A controller's description of itself."""

    active_directory: bool
    contexts: tuple[str, ...]
    domain: str  # the context of its own domain; empty outside Active Directory

    def context_of(self, base: str) -> str:
        """Returns the naming context that `base` lies in; `base` itself where none is listed."""
        above = [each for each in self.contexts if each and is_below(base, each)]
        return max(above, key=len, default=base)


@dataclass(frozen=True, slots=True)
class Lockout:
    """The number of wrong passwords after which the directory locks an account by itself."""

    tries: int  # 1 or more
    window_s: int  # a wrong password counts for so long; 0: until the right password is sent


def read_root(link: Link) -> Root:
    """Reads the root entry of the controller that `link` is connected to.

    Raises:
        DirectoryUnavailable: `root_dse: ...`, the entry cannot be read.
    """
    names = ("supportedCapabilities", "namingContexts", "defaultNamingContext")
    rows = link.search("", "(objectClass=*)", names).expect("root_dse")
    if not rows:
        raise DirectoryUnavailable("root_dse: cannot be read")
    return Root(
        ACTIVE_DIRECTORY in rows[0].texts("supportedCapabilities"),
        tuple(rows[0].texts("namingContexts")),
        rows[0].text("defaultNamingContext"),
    )


def read_lockout(link: Link, root: Root, base: str) -> Lockout | None:
    """Reads the policy that applies to most accounts; None: it never locks, or cannot be read.

    Active Directory stores it in the entry of the domain. (Policies for groups of accounts, PSO,
    may be stricter; a service account can seldom read them.) OpenLDAP names its default policy only
    in its configuration: a single policy is taken for the default.
    """
    context = root.context_of(base)
    if root.active_directory:
        names = ("lockoutThreshold", "lockOutObservationWindow")
        rows = link.search(root.domain or context, "(objectClass=*)", names).entries
        return _ad_lockout(rows[0]) if rows else None
    names = ("pwdLockout", "pwdMaxFailure", "pwdFailureCountInterval")
    result = link.search(context, "(objectClass=pwdPolicy)", names, subtree=True, size_limit=2)
    if result.code != 0 or len(result.entries) != 1:
        return None
    policy = result.entries[0]
    tries = policy.number("pwdMaxFailure") or 0
    if policy.text("pwdLockout").lower() != "true" or tries < 1:
        return None
    return Lockout(tries, max(0, policy.number("pwdFailureCountInterval") or 0))


def _ad_lockout(domain: Entry) -> Lockout | None:
    tries = domain.number("lockoutThreshold") or 0
    window = (
        domain.number("lockOutObservationWindow") or 0
    )  # an interval is stored as a negative number
    return Lockout(tries, abs(window) // TICKS_PER_S) if tries > 0 else None
