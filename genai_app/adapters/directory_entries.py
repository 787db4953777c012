"""What an entry of the directory says about a person, and what a refused bind means."""

import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from genai_app import clock
from genai_app.text import clean_text

DEPARTMENT = ("department", "departmentNumber", "ou")  # the first that is filled in
ATTRIBUTES = (
    *("objectGUID", "entryUUID", "ipaUniqueID", "nsUniqueId"),
    *("sAMAccountName", "userPrincipalName", "uid", "cn", "displayName", "mail"),
    *DEPARTMENT,
    *("memberOf", "primaryGroupID", "objectSid", "gidNumber"),
    *("userAccountControl", "msDS-User-Account-Control-Computed", "accountExpires", "pwdLastSet"),
    *("pwdAccountLockedTime", "pwdReset", "shadowExpire"),
    *("nsAccountLock", "accountUnlockTime", "krbPrincipalExpiration"),
)
MAX_TEXT = 256

UAC_DISABLED = 0x2
UAC_LOCKED = 0x10
UAC_KEEPS_PASSWORD = 0x10000 | 0x40000  # it never expires, or a smart card is the password
UAC_PASSWORD_EXPIRED = 0x800000

AD_NEVER = (0, 0x7FFFFFFFFFFFFFFF)
_AD_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PPOLICY_DISABLED = "000001010000Z"  # locked since the year 0: by hand, and for good

# "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 533, v1db1"
_AD_DATA = re.compile(r"\bdata ([0-9a-f]+)\b", re.IGNORECASE)
_AD_REASONS = {
    "525": "unknown_user",
    "52e": "wrong_password",
    "530": "logon_hours",
    "531": "logon_hours",  # the hours of a workstation that is not his
    "532": "password_expired",
    "533": "disabled",
    "701": "expired",
    "773": "must_change",
    "775": "locked",
}
_POLICY_REASONS = {0: "password_expired", 1: "locked", 2: "must_change"}


class AccountState(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"
    LOCKED = "locked"
    EXPIRED = "expired"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105  # a word
    MUST_CHANGE = "must_change"
    LOGON_HOURS = "logon_hours"


@dataclass(frozen=True, slots=True)
class Person:
    """An account of the directory."""

    id: str  # objectGUID as a UUID's text, or ipaUniqueID, nsUniqueId, entryUUID; never a name
    dn: str
    username: str  # sAMAccountName or uid
    full_name: str  # displayName, else cn, else the username
    mail: str
    groups: frozenset[str]  # those of the settings, as written there, that the person is in
    state: AccountState
    department: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A DN and its attributes, names in lower case."""

    dn: str
    values: dict[str, list[bytes]] = field(repr=False)

    def raw(self, name: str) -> bytes:
        """The first value; empty where there is none."""
        values = self.values.get(name.lower())
        return values[0] if values else b""

    def text(self, name: str) -> str:
        """The first value as text for people: one line, storable, not endless."""
        text = clean_text(self.raw(name).decode("utf-8", "replace"))
        return " ".join(text.split())[:MAX_TEXT]

    def texts(self, name: str) -> list[str]:
        """All values, as they are."""
        return [value.decode("utf-8", "replace") for value in self.values.get(name.lower(), ())]

    def number(self, name: str) -> int | None:
        raw = self.raw(name)
        return int(raw) if re.fullmatch(rb"-?[0-9]{1,20}", raw) else None


def entry_id(entry: Entry) -> str:
    """The id that stays through renames and moves; empty where the service account sees none.

    nsUniqueId comes before entryUUID: 389 Directory Server got the latter in an update, and nobody
    may become somebody else by an update.
    """
    guid = entry.raw("objectGUID")
    if len(guid) == 16:
        return str(uuid.UUID(bytes_le=guid))
    for name in ("ipaUniqueID", "nsUniqueId", "entryUUID"):
        if found := entry.text(name):
            return found.lower()
    return ""


def meant(entries: list[Entry], full: str) -> Entry | None:
    """The account meant by a name. Of two the one whose full name was written in full is: there
    is one."""
    if len(entries) > 1 and "@" in full:
        written = full.casefold()
        entries = [each for each in entries if each.text("userPrincipalName").casefold() == written]
    return entries[0] if len(entries) == 1 else None


def person_of(entry: Entry, groups: frozenset[str], state: AccountState) -> Person:
    """The person that an entry with an id stands for."""
    username = entry.text("sAMAccountName") or entry.text("uid") or entry.text("cn")
    return Person(
        id=entry_id(entry),
        dn=entry.dn,
        username=username,
        full_name=entry.text("displayName") or entry.text("cn") or username,
        mail=entry.text("mail"),
        department=next((text for name in DEPARTMENT if (text := entry.text(name))), ""),
        groups=groups,
        state=state,
    )


def state_of(entry: Entry) -> AccountState:
    """The state that the entry's attributes tell; those that cannot be read tell nothing.

    LOCKED may be over: a lock of OpenLDAP's policy stays written until the next login.
    """
    control = entry.number("userAccountControl")
    state = _other_state(entry) if control is None else _ad_state(entry, control)
    return state or AccountState.ACTIVE


def bind_reason(code: int, message: str, policy: bytes | None) -> str:
    """Why a name and a password were refused; empty when that is not what happened."""
    found = _AD_DATA.search(message)
    if code == 49 and found and found[1].lower() in _AD_REASONS:
        return _AD_REASONS[found[1].lower()]
    error = policy_error(policy)
    if code in (0, 49, 53) and error in _POLICY_REASONS:
        return _POLICY_REASONS[error]
    if code == 49:
        # 389 Directory Server: "password expired!"
        return "password_expired" if "password expired" in message.lower() else "wrong_password"
    if code == 19:  # 389 Directory Server: "Exceed password retry limit. Please try later."
        return "locked" if "retry limit" in message.lower() else ""
    if code == 53 and "inactivated" in message.lower():  # the same: "Account inactivated."
        return "disabled"
    # the account has no password, or vanished since it was found
    return {48: "wrong_password", 32: "unknown_user"}.get(code, "")


def policy_error(value: bytes | None) -> int | None:
    """The `error` of a password policy response control, draft-behera-ldap-password-policy:
    SEQUENCE { warning [0] CHOICE OPTIONAL, error [1] ENUMERATED OPTIONAL }."""
    if not value or value[0] != 0x30 or len(value) < 2 or value[1] != len(value) - 2:
        return None
    position = 2
    while position + 2 <= len(value):
        tag, length = value[position], value[position + 1]
        if tag == 0x81 and length == 1 and position + 2 < len(value):
            return value[position + 2]
        position += 2 + length
    return None


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
    if _is_past(entry.text("krbPrincipalExpiration")):
        return AccountState.EXPIRED
    unlocks_at = entry.text("accountUnlockTime")  # "0": not by itself
    if locked_at or (unlocks_at and not _is_past(unlocks_at)):
        return AccountState.LOCKED
    return AccountState.MUST_CHANGE if entry.text("pwdReset").lower() == "true" else None


def _is_past(text: str) -> bool:
    """Whether a GeneralizedTime, `20260131235959Z`, is over; one that cannot be read is not."""
    found = re.fullmatch(r"(\d{14})(?:\.\d+)?Z", text)
    try:
        moment = datetime.strptime(found[1], "%Y%m%d%H%M%S") if found else None  # noqa: DTZ007
    except ValueError:
        return False
    return moment is not None and moment.replace(tzinfo=UTC) <= clock.now()


def _ad_time(ticks: int) -> datetime:
    try:
        return _AD_EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
