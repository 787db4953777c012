"""Entries of the directory, and the accounts they describe."""

import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from genai_app import clock
from genai_app.adapters.directory.names import TypedName
from genai_app.text import clean_text

DEPARTMENT = ("department", "departmentNumber", "ou")  # the first that is filled in
ATTRIBUTES = (
    *("objectGUID", "entryUUID", "ipaUniqueID", "nsUniqueId"),
    *("sAMAccountName", "userPrincipalName", "uid", "cn", "displayName", "mail"),
    *DEPARTMENT,
    *("memberOf", "primaryGroupID", "objectSid", "gidNumber"),
    *("userAccountControl", "msDS-User-Account-Control-Computed", "accountExpires", "pwdLastSet"),
    *("badPwdCount", "badPasswordTime", "logonHours", "userWorkstations"),
    *("pwdAccountLockedTime", "pwdReset", "shadowExpire", "pwdFailureTime"),
    *("pwdStartTime", "pwdEndTime"),
    *("nsAccountLock", "accountUnlockTime", "krbPrincipalExpiration"),
)
MAX_TEXT = 256

UAC_DISABLED = 0x2
UAC_LOCKED = 0x10
UAC_KEEPS_PASSWORD = 0x10000 | 0x40000  # DONT_EXPIRE_PASSWORD, SMARTCARD_REQUIRED
UAC_PASSWORD_EXPIRED = 0x800000

AD_NEVER = (0, 0x7FFFFFFFFFFFFFFF)
_AD_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PPOLICY_DISABLED = "000001010000Z"  # the year 0: an administrator locked it permanently


class AccountState(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"
    LOCKED = "locked"
    EXPIRED = "expired"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105  # a word
    MUST_CHANGE = "must_change"
    LOGON_HOURS = "logon_hours"


@dataclass(frozen=True, slots=True)
class DirectoryPerson:
    """An account of the directory."""

    id: str  # objectGUID as a UUID's text, or ipaUniqueID, nsUniqueId, entryUUID; never a name
    dn: str
    username: str  # sAMAccountName or uid
    full_name: str  # displayName, else cn, else the username
    mail: str
    groups: frozenset[str]  # those of the settings, as written there, that the person is in
    state: AccountState
    department: str = ""
    # groups of the settings whose members cannot be read now
    unknown_groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AccountMatch:
    """The account that a typed name belongs to, before its password is checked."""

    id: str
    username: str
    # wrong passwords from any source, as the directory counts them; None: it does not say
    wrong_tries: int | None = None
    last_wrong_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A DN and its attributes by their names in lower case."""

    dn: str
    values: dict[str, list[bytes]] = field(repr=False)

    def raw(self, name: str) -> bytes:
        """Returns the first value; empty where there is none."""
        values = self.values.get(name.lower())
        return values[0] if values else b""

    def text(self, name: str) -> str:
        """Returns the first value as text for people: one line, 256 characters at most."""
        text = clean_text(self.raw(name).decode("utf-8", "replace"))
        return " ".join(text.split())[:MAX_TEXT]

    def texts(self, name: str) -> list[str]:
        """Returns all values, unchanged."""
        return [value.decode("utf-8", "replace") for value in self.values.get(name.lower(), ())]

    def number(self, name: str) -> int | None:
        raw = self.raw(name)
        return int(raw) if re.fullmatch(rb"-?[0-9]{1,20}", raw) else None


def entry_id(entry: Entry) -> str:
    """Returns the id that survives renames and moves; empty where the service account sees none.

    nsUniqueId comes before entryUUID: an update of 389 Directory Server added entryUUID, and an
    update must not change the identity of an account.
    """
    guid = entry.raw("objectGUID")
    if len(guid) == 16:
        return str(uuid.UUID(bytes_le=guid))
    for name in ("ipaUniqueID", "nsUniqueId", "entryUUID"):
        if text := entry.text(name):
            return text.lower()
    return ""


def select_entry(entries: list[Entry], name: TypedName) -> Entry | None:
    """Returns the entry that a typed name belongs to: of several the one with this UPN, else with
    this mail address, else with this login. None where that is not exactly one."""
    if len(entries) > 1 and "@" in name.full:
        full, short = name.full.casefold(), name.short.casefold()
        for names, typed in (
            (("userPrincipalName",), full),
            (("mail",), full),
            (("sAMAccountName", "uid"), short),
        ):
            exact = [
                entry
                for entry in entries
                if any(typed == text.casefold() for each in names for text in entry.texts(each))
            ]
            if exact:
                return exact[0] if len(exact) == 1 else None
    return entries[0] if len(entries) == 1 else None


def match_of(entry: Entry) -> AccountMatch:
    """Returns the account of an entry with an id, and its count of wrong passwords."""
    failures = [_moment(text) for text in entry.texts("pwdFailureTime")]
    times = [moment for moment in failures if moment is not None]
    count, last_at = entry.number("badPwdCount"), entry.number("badPasswordTime")
    if count is not None:
        times = [_ad_time(last_at)] if last_at else []
    elif times:
        count = len(times)
    return AccountMatch(entry_id(entry), _login(entry), count, max(times, default=None))


def person_of(
    entry: Entry,
    groups: frozenset[str],
    state: AccountState,
    unknown_groups: frozenset[str] = frozenset(),
) -> DirectoryPerson:
    """Returns the person that an entry with an id describes."""
    username = _login(entry)
    return DirectoryPerson(
        id=entry_id(entry),
        dn=entry.dn,
        username=username,
        full_name=entry.text("displayName") or entry.text("cn") or username,
        mail=entry.text("mail"),
        department=next((text for name in DEPARTMENT if (text := entry.text(name))), ""),
        groups=groups,
        state=state,
        unknown_groups=unknown_groups,
    )


def _login(entry: Entry) -> str:
    return entry.text("sAMAccountName") or entry.text("uid") or entry.text("cn")


def state_of(entry: Entry) -> AccountState:
    """Returns the state that the entry's readable attributes describe, else ACTIVE.

    LOCKED may be over: OpenLDAP's policy leaves the attribute in place until the next login.
    """
    control = entry.number("userAccountControl")
    state = _other_state(entry) if control is None else _ad_state(entry, control)
    return state or AccountState.ACTIVE


def _ad_state(entry: Entry, control: int) -> AccountState | None:
    if control & UAC_DISABLED:
        return AccountState.DISABLED
    expires = entry.number("accountExpires")
    if expires is not None and expires not in AD_NEVER and _ad_time(expires) <= clock.now():
        return AccountState.EXPIRED
    computed = entry.number("msDS-User-Account-Control-Computed") or 0
    if computed & UAC_LOCKED:
        return AccountState.LOCKED
    if not control & UAC_KEEPS_PASSWORD and entry.number("pwdLastSet") == 0:
        return AccountState.MUST_CHANGE
    return AccountState.PASSWORD_EXPIRED if computed & UAC_PASSWORD_EXPIRED else None


def _other_state(entry: Entry) -> AccountState | None:
    locked_at = entry.text("pwdAccountLockedTime")
    if locked_at == PPOLICY_DISABLED or entry.text("nsAccountLock").lower() == "true":
        return AccountState.DISABLED
    day = entry.number("shadowExpire")
    if day is not None and 0 <= day < 1_000_000 and _EPOCH + timedelta(days=day) <= clock.now():
        return AccountState.EXPIRED
    if _is_past(entry.text("krbPrincipalExpiration")) or _is_past(entry.text("pwdEndTime")):
        return AccountState.EXPIRED
    starts_at = _moment(entry.text("pwdStartTime"))
    if starts_at is not None and starts_at > clock.now():
        return AccountState.DISABLED
    unlocks_at = entry.text("accountUnlockTime")  # "0": never by itself
    if locked_at or (unlocks_at and not _is_past(unlocks_at)):
        return AccountState.LOCKED
    return AccountState.MUST_CHANGE if entry.text("pwdReset").lower() == "true" else None


def _is_past(text: str) -> bool:
    """Returns whether a GeneralizedTime is past; False for one that cannot be read."""
    moment = _moment(text)
    return moment is not None and moment <= clock.now()


def _moment(text: str) -> datetime | None:
    """Parses a GeneralizedTime, `20260131235959Z`; None for any other text."""
    match = re.fullmatch(r"(\d{14})(?:\.\d+)?Z", text)
    try:
        moment = datetime.strptime(match[1], "%Y%m%d%H%M%S") if match else None  # noqa: DTZ007
    except ValueError:
        return None
    return moment and moment.replace(tzinfo=UTC)


def _ad_time(ticks: int) -> datetime:
    try:
        return _AD_EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
