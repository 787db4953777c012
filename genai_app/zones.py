"""The time zone in which times are shown to the present user: the browser's zone, else UTC.

Never the server's zone: replicas may differ, and staff may work in other zones.
"""

from contextvars import ContextVar
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

DEFAULT_ZONE = "UTC"
ZONE_COOKIE = "genai_zone"

_zone: ContextVar[str] = ContextVar("zone", default=DEFAULT_ZONE)


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


def valid_zone(name: object) -> str:
    """Returns the name if it is the name of a time zone, else `UTC`."""
    return name if isinstance(name, str) and name in _names() else DEFAULT_ZONE


def set_viewer_zone(name: object) -> None:
    """Sets the time zone of the user for whom this task acts."""
    _zone.set(valid_zone(name))


def viewer_zone() -> str:
    """Returns the time zone of the user for whom this task acts."""
    return _zone.get()


def local_time(moment: datetime, zone: str | None = None) -> datetime:
    """Returns a time in `zone`, by default in the viewer's zone."""
    return moment.astimezone(ZoneInfo(zone or viewer_zone()))


def is_whole_day(moment: datetime) -> bool:
    """Returns whether a time is exactly midnight in UTC. While names are hidden, times are rounded
    to days in this way."""
    return moment.astimezone(UTC).time() == time.min


def utc_day(moment: datetime) -> datetime:
    """Returns the midnight before a time, in UTC for all viewers.

    With days of the viewer's zone, a reviewer could find the time by viewing a dialog in several
    zones.
    """
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def day_start(day: date, zone: str | None = None) -> datetime:
    """Returns the start of a day in `zone` (by default the viewer's zone), as UTC."""
    return datetime.combine(day, time.min, ZoneInfo(zone or viewer_zone())).astimezone(UTC)


def day_bound(text: str, *, after: bool = False, zone: str | None = None) -> datetime | None:
    """Returns the start of the day `text` (`2026-11-25`), or with `after` the start of the next
    day. None for an empty text. Raises ValueError for any other text."""
    if not text:
        return None
    try:
        return day_start(date.fromisoformat(text) + timedelta(days=after), zone)
    except (OverflowError, OSError) as error:
        raise ValueError(text) from error
