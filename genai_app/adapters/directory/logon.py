"""The hours and workstations at which Active Directory lets an account log in."""

from datetime import datetime

from genai_app import clock
from genai_app.adapters.directory.check.steps import (
    DirectoryCause,
    Fact,
    StepFailed,
    StepPassed,
)
from genai_app.adapters.directory.entries import Entry, match_of
from genai_app.adapters.findings import FactValue

HOURS_BYTES = 21  # one bit an hour of the week, from Sunday 0:00 UTC on, the lowest bit first
UAC_SMART_CARD = 0x40000


def check_logon(entry: Entry, facts: dict[Fact, FactValue]) -> StepPassed:
    """Checks the logon restrictions of an active account, for `genai ldap check`.

    Raises:
        StepFailed: its logon hours forbid every login.
    """
    hours = entry.raw("logonHours")
    stations = tuple(
        name.strip() for text in entry.texts("userWorkstations") for name in text.split(",")
    )
    wrong_tries = match_of(entry).wrong_tries
    if stations:
        facts[Fact.WORKSTATIONS] = stations
    if wrong_tries:
        facts[Fact.WRONG_TRIES] = wrong_tries
    if len(hours) == HOURS_BYTES and not any(hours):
        raise StepFailed(DirectoryCause.USER_NO_LOGON_HOURS, facts)
    if stations:
        return StepPassed(facts, DirectoryCause.USER_WORKSTATIONS)
    if not may_log_in_at(hours, clock.now()):
        return StepPassed(facts, DirectoryCause.USER_OUTSIDE_LOGON_HOURS)
    if (entry.number("userAccountControl") or 0) & UAC_SMART_CARD:
        return StepPassed(facts, DirectoryCause.USER_SMART_CARD)
    return StepPassed(facts)


def may_log_in_at(hours: bytes, moment: datetime) -> bool:
    """Returns whether `logonHours` allow a login at `moment` (UTC); without hours True."""
    if len(hours) != HOURS_BYTES:
        return True
    day = (moment.weekday() + 1) % 7  # their week begins on Sunday
    hour = day * 24 + moment.hour
    return bool(hours[hour // 8] >> hour % 8 & 1)
