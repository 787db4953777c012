"""When and where Active Directory lets an account log in, as its entry says it."""

from datetime import datetime

from genai_app import clock
from genai_app.adapters.directory.check.steps import Cause, Fact, FactValue, Fault, Seen
from genai_app.adapters.directory.entries import Entry, found_account

HOURS_BYTES = 21  # one bit an hour of the week, from Sunday 0:00 UTC on, the lowest bit first
UAC_SMART_CARD = 0x40000


def logon_seen(entry: Entry, facts: dict[Fact, FactValue]) -> Seen:
    """What `genai ldap check` says of an account that is active.

    Raises:
        Fault: its logon hours forbid every login.
    """
    hours = entry.raw("logonHours")
    stations = tuple(
        name.strip() for text in entry.texts("userWorkstations") for name in text.split(",")
    )
    wrong_tries = found_account(entry).wrong_tries
    if stations:
        facts[Fact.WORKSTATIONS] = stations
    if wrong_tries:
        facts[Fact.WRONG_TRIES] = wrong_tries
    if len(hours) == HOURS_BYTES and not any(hours):
        raise Fault(Cause.USER_NO_LOGON_HOURS, facts)
    if stations:
        return Seen(facts, Cause.USER_WORKSTATIONS)
    if not may_log_in_at(hours, clock.now()):
        return Seen(facts, Cause.USER_OUTSIDE_LOGON_HOURS)
    if (entry.number("userAccountControl") or 0) & UAC_SMART_CARD:
        return Seen(facts, Cause.USER_SMART_CARD)
    return Seen(facts)


def may_log_in_at(hours: bytes, moment: datetime) -> bool:
    """Whether `logonHours` allow a login at `moment` (UTC); no such attribute allows all."""
    if len(hours) != HOURS_BYTES:
        return True
    day = (moment.weekday() + 1) % 7  # theirs begins on Sunday
    hour = day * 24 + moment.hour
    return bool(hours[hour // 8] >> hour % 8 & 1)
