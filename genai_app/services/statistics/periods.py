"""Periods of an overview and the points of its chart: hours of a day, days of longer periods."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from genai_app import clock
from genai_app.services.statistics.figures import Point
from genai_app.services.statistics.usage import HOUR, hour_of
from genai_app.zones import day_start, local_time


class Period(StrEnum):
    """The length of the period that ends now."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


DAYS = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 30, Period.YEAR: 365}


def begin_of(period: Period) -> tuple[datetime, timedelta]:
    """Returns the beginning of a period and the length of its points. Days are those of the
    viewer's time zone."""
    now = clock.now()
    if period is Period.DAY:
        return hour_of(now) - 23 * HOUR, HOUR
    first = local_time(now).date() - timedelta(days=DAYS[period] - 1)
    return day_start(first), timedelta(days=1)


def points_of(begin: datetime, step: timedelta) -> list[Point]:
    """Returns empty points from `begin` until now. Days follow the local clock, so that a day may
    have 23 or 25 hours."""
    points: dict[datetime, Point] = {}
    now = clock.now()
    if step == HOUR:
        moment = begin
        while moment <= now:
            points.setdefault(_naive(local_time(moment)), Point(moment))
            moment += HOUR
        return list(points.values())
    day = _naive(local_time(begin))
    while (moment := day_start(day.date())) <= now:
        points[day] = Point(moment)
        day += timedelta(days=1)
    return list(points.values())


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def point_index(begins: Sequence[datetime], point: int | datetime) -> int:
    """Returns the index of a point.

    Args:
        begins: the beginnings of all points, sorted.
        point: its number from 1, or a time in it. A time after now, from a clock that is ahead,
            belongs to the last point.
    """
    if isinstance(point, int):
        return point - 1
    return max(bisect_right(begins, point) - 1, 0)
