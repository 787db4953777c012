"""Moments as a page says them: one text for each language, in the zone of the browser."""

from datetime import datetime, timedelta

from genai_app.i18n import LOCALES, catalogue
from genai_app.zones import is_whole_day, local_time


def day_text(moment: datetime | None) -> dict[str, str]:
    """`25 ноября 2026` by `ru`; empty texts for None."""
    return {locale: _day(moment, locale) for locale in LOCALES}


def moment_text(moment: datetime | None) -> dict[str, str]:
    """`25 ноября 2026, 12:30` by `ru`; of a whole day its date alone; empty texts for None."""
    if moment is None:
        return day_text(None)
    if is_whole_day(moment):
        return day_text(moment)
    clock_time = clock_text(moment)
    return {locale: f"{day}, {clock_time}" for locale, day in day_text(moment).items()}


def clock_text(moment: datetime) -> str:
    """Returns `12:30`."""
    return local_time(moment).strftime("%H:%M")


def _day(moment: datetime | None, locale: str) -> str:
    if moment is None:
        return ""
    local = moment if is_whole_day(moment) else local_time(moment)
    month = catalogue(locale)["date.months"].split()[local.month - 1]
    return f"{local.day} {month} {local.year}"


def age(passed: timedelta) -> tuple[int, str]:
    """A number and its unit, rounded down; less than a minute is `(0, "moment")`."""
    minutes = int(passed.total_seconds() // 60)
    if minutes < 1:
        return 0, "moment"
    if minutes < 60:
        return minutes, "minutes"
    if minutes < 24 * 60:
        return minutes // 60, "hours"
    return minutes // (24 * 60), "days"
