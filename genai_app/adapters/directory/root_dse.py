"""What a controller says of itself and of its domain: its kind, its contexts, when it locks."""

from dataclasses import dataclass

from genai_app.adapters.directory.entries import Entry
from genai_app.adapters.directory.link import Link
from genai_app.adapters.directory.names import is_below
from genai_app.errors import DirectoryUnavailable

ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"
TICKS_PER_S = 10_000_000  # Active Directory counts time in tenths of a microsecond


@dataclass(frozen=True, slots=True)
class Root:
    """What a controller says of itself."""

    active_directory: bool
    contexts: tuple[str, ...]
    domain: str  # the context of its own domain; empty where there is no such word

    def context_of(self, base: str) -> str:
        """The naming context that `base` lies in; `base` itself where none is told."""
        above = [each for each in self.contexts if each and is_below(base, each)]
        return max(above, key=len, default=base)


@dataclass(frozen=True, slots=True)
class Lockout:
    """After how many wrong passwords the directory locks an account by itself."""

    tries: int  # 1 or more
    window_s: int  # they are forgotten after this; 0: only a right password makes them forgotten


def read_root(link: Link) -> Root:
    """The root entry of the controller at the other end.

    Raises:
        DirectoryUnavailable: `root_dse: ...`, it cannot be read.
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
    """The policy that holds for most accounts; None: it never locks, or cannot be read.

    Active Directory has it at its domain. (Policies for single groups of accounts, PSO, may be
    stricter, and a service account seldom may read them.) Of OpenLDAP's policies the default is
    named in its configuration only; where there is one policy, it is that.
    """
    context = root.context_of(base)
    if root.active_directory:
        names = ("lockoutThreshold", "lockOutObservationWindow")
        rows = link.search(root.domain or context, "(objectClass=*)", names).entries
        return _ad_lockout(rows[0]) if rows else None
    names = ("pwdLockout", "pwdMaxFailure", "pwdFailureCountInterval")
    found = link.search(context, "(objectClass=pwdPolicy)", names, subtree=True, size_limit=2)
    if found.code != 0 or len(found.entries) != 1:
        return None
    policy = found.entries[0]
    tries = policy.number("pwdMaxFailure") or 0
    if policy.text("pwdLockout").lower() != "true" or tries < 1:
        return None
    return Lockout(tries, max(0, policy.number("pwdFailureCountInterval") or 0))


def _ad_lockout(domain: Entry) -> Lockout | None:
    tries = domain.number("lockoutThreshold") or 0
    window = domain.number("lockOutObservationWindow") or 0  # negative: an interval
    return Lockout(tries, abs(window) // TICKS_PER_S) if tries > 0 else None
