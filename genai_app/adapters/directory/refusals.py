"""Answers to a bind with a person's name and password: accepted, wrong, or right but refused."""

import re

from genai_app.adapters.directory.entries import AccountState, Entry, state_of
from genai_app.adapters.directory.link import BindAnswer
from genai_app.errors import DirectoryUnavailable, Forbidden, NotAuthenticated

# "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 533, v1db1"
_AD_DATA = re.compile(r"\bdata ([0-9a-f]+)\b", re.IGNORECASE)
AD_REASONS = {
    "525": "unknown_user",
    "52e": "wrong_password",
    "530": "logon_hours",
    "531": "workstation",
    "532": "password_expired",
    "533": "disabled",
    "701": "expired",
    "773": "must_change",
    "775": "locked",
}
# Active Directory sends these for the right password only; 775 for any password
_AD_PROVEN = ("530", "531", "532", "533", "701", "773")
POLICY_REASONS = {0: "password_expired", 1: "locked", 2: "must_change"}
# draft-behera-ldap-password-policy: both are sent after the password was compared
_POLICY_PROVEN = (0, 2)
# states in which some servers let the bind succeed and leave the refusal to their clients
REFUSED_STATES = (AccountState.DISABLED, AccountState.EXPIRED, AccountState.MUST_CHANGE)


def check_answer(answer: BindAnswer, entry: Entry) -> None:
    """Checks that the bind proved the password and that the account is active.

    Raises:
        NotAuthenticated: the password is wrong, or nothing proves that it is right.
        Forbidden: it is right, and the directory refuses the person nevertheless.
        DirectoryUnavailable: the answer says nothing about the person.
    """
    state = state_of(entry)
    reason = bind_reason(answer.code, answer.message, answer.policy)
    data = _data_of(answer.message)
    if answer.code == 0:
        reason = reason or (str(state) if state in REFUSED_STATES else "")
        if reason:
            raise _refused(reason, data)
        return
    if not reason:
        raise DirectoryUnavailable(f"bind: {answer.code} {answer.message}"[:300])
    if _is_proven(answer, data):
        raise _refused(reason, data)
    # OpenLDAP answers 49 to all of them: the state in the entry is more precise
    generic = reason in ("wrong_password", "locked") and not data
    if generic and state in (AccountState.DISABLED, AccountState.LOCKED):
        reason = str(state)
    raise NotAuthenticated(reason, code="wrong_credentials", directory_code=data)


def _is_proven(answer: BindAnswer, data: str) -> bool:
    """Returns whether a refusal proves that the password was right."""
    if data:
        return data in _AD_PROVEN
    # 389 Directory Server compares the password before it sends this message
    if answer.code == 49 and "password expired" in answer.message.lower():
        return True
    return policy_error(answer.policy) in _POLICY_PROVEN


def bind_reason(code: int, message: str, policy: bytes | None) -> str:
    """Returns why a name and a password were refused; empty where they were not refused."""
    data = _data_of(message)
    if code == 49 and data in AD_REASONS:
        return AD_REASONS[data]
    error = policy_error(policy)
    if code in (0, 49, 53) and error in POLICY_REASONS:
        return POLICY_REASONS[error]
    if code == 49:
        # 389 Directory Server: "password expired!"
        return "password_expired" if "password expired" in message.lower() else "wrong_password"
    if code == 19:  # 389 Directory Server: "Exceed password retry limit. Please try later."
        return "locked" if "retry limit" in message.lower() else ""
    if code == 53 and "inactivated" in message.lower():  # the same: "Account inactivated."
        return "disabled"
    # the account has no password, or was deleted after the search
    return {48: "wrong_password", 32: "unknown_user"}.get(code, "")


def policy_error(value: bytes | None) -> int | None:
    """Returns the `error` of a password policy response control, draft-behera-ldap-password-policy:
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


def _data_of(message: str) -> str:
    """Returns the sub-code of Active Directory, such as `52e`; empty where there is none."""
    match = _AD_DATA.search(message)
    return match[1].lower() if match else ""


def _refused(reason: str, data: str) -> Forbidden:
    return Forbidden(reason, code=f"account_{reason}", directory_code=data)
