"""Time zones of browsers: which are taken, and what days and moments are in them."""

from datetime import UTC, date, datetime

import pytest

from genai_app.services.exports.choice import day_begins
from genai_app.services.review.crowds import whole_days
from genai_app.services.review.listing import Filters
from genai_app.state.dates import moment_text
from genai_app.web.cookies import zone_of
from genai_app.zones import day_start, local_time, set_viewer_zone, utc_day, valid_zone

NIGHT = datetime(2026, 11, 25, 22, 30, tzinfo=UTC)  # the 26th in Moscow


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "x" * 10_000, "\0", 1, None, []]
)
def test_what_is_no_zone_is_utc(name: object) -> None:
    assert valid_zone(name) == "UTC"


@pytest.mark.parametrize(
    ("header", "zone"),
    [
        ("genai_zone=Europe%2FMoscow", "Europe/Moscow"),
        ('a=1; genai_zone="Asia/Tokyo"; b=2', "Asia/Tokyo"),
        ("genai_zone=Asia%2FCalcutta", "Asia/Calcutta"),  # as Chromium still names it
        ("genai_zone=%2e%2e%2fpasswd", "UTC"),
        ("genai_zone=", None),
        ("xgenai_zone=Asia/Tokyo", None),
        (None, None),
    ],
)
def test_the_zone_of_a_cookie(header: str | None, zone: str | None) -> None:
    assert zone_of(header) == zone


def test_moments_and_days_of_the_viewer(moscow: None) -> None:
    assert local_time(NIGHT).isoformat() == "2026-11-26T01:30:00+03:00"
    assert day_start(date(2026, 11, 26)) == datetime(2026, 11, 25, 21, tzinfo=UTC)
    assert moment_text(NIGHT)["en"] == "26 November 2026, 01:30"


def test_a_day_is_as_long_as_it_is() -> None:
    """23 hours on the Sunday in March when New York's clocks go forward."""
    begin = day_begins("2026-03-08", zone="America/New_York")
    end = day_begins("2026-03-08", after=True, zone="America/New_York")
    assert begin is not None
    assert end is not None
    assert (end - begin).total_seconds() == 23 * 3600


def test_hidden_names_have_one_day_for_everybody() -> None:
    """No zone tells more of a moment than another; the day that was chosen is the one that is
    shown."""
    shown = {}
    for zone in ("Pacific/Kiritimati", "Europe/Moscow", "Asia/Kathmandu", "Pacific/Pago_Pago"):
        set_viewer_zone(zone)
        shown[zone] = moment_text(utc_day(NIGHT))["en"]
        day = date(2026, 11, 25)
        chosen = Filters(since=day_start(day), until=day_start(date(2026, 11, 26)))
        found = whole_days(chosen)
        assert (found.since, found.until) == (utc_day(NIGHT), datetime(2026, 11, 26, tzinfo=UTC))
    set_viewer_zone(None)
    assert set(shown.values()) == {"25 November 2026"}
