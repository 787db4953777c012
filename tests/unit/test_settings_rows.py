"""What the settings page and the limit's line are told."""

from datetime import UTC, datetime, timedelta

import pytest

from genai_app.i18n import LOCALES, catalogue
from genai_app.models import ApiKey, Channel, Session, new_id
from genai_app.services.limits.rate import Budget
from genai_app.state.account.rows import device, key_row, login_rows
from genai_app.state.chat.limits import is_low, until
from genai_app.state.dates import age, day_text, moment_text

pytestmark = pytest.mark.usefixtures("moscow")

MOMENT = datetime(2026, 5, 31, 22, 5, tzinfo=UTC)
DAY = timedelta(days=1)


def test_dates_are_said_in_each_language() -> None:
    assert day_text(MOMENT) == {"ru": "1 июня 2026", "en": "1 June 2026"}
    assert moment_text(MOMENT) == {"ru": "1 июня 2026, 01:05", "en": "1 June 2026, 01:05"}
    assert day_text(None) == moment_text(None) == {"ru": "", "en": ""}


@pytest.mark.parametrize("locale", LOCALES)
def test_a_year_has_twelve_months(locale: str) -> None:
    assert len(catalogue(locale)["date.months"].split()) == 12


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, (0, "moment")),
        (59, (0, "moment")),
        (60, (1, "minutes")),
        (3599, (59, "minutes")),
        (3600, (1, "hours")),
        (86_399, (23, "hours")),
        (86_400, (1, "days")),
        (40 * 86_400, (40, "days")),
    ],
)
def test_ages(seconds: int, expected: tuple[int, str]) -> None:
    assert age(timedelta(seconds=seconds)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, (0, "")),
        (0.2, (1, "seconds")),
        (12.0, (12, "seconds")),
        (90.0, (90, "seconds")),
        (90.1, (2, "minutes")),
        (5400.0, (90, "minutes")),
        (5401.0, (2, "hours")),
        (31 * 86_400.0, (744, "hours")),
    ],
)
def test_waits_are_never_said_too_short(seconds: float, expected: tuple[int, str]) -> None:
    assert until(seconds) == expected


@pytest.mark.parametrize(
    ("limit", "remaining", "low"),
    [(30, 30, False), (30, 10, False), (30, 9, True), (30, 0, True), (1, 1, False), (1, 0, True)],
)
def test_little_is_less_than_a_third(limit: int, remaining: int, low: bool) -> None:
    assert is_low(Budget(limit, remaining, 1.0)) is low


def test_a_key() -> None:
    key = ApiKey(
        user_id=new_id(),
        name="nightly",
        key_hash=b"x" * 32,
        hint="gk_abcd",
        created_at=MOMENT,
        expires_at=MOMENT + DAY,
    )
    row = key_row(key, MOMENT)
    assert (row.id, row.name, row.hint, row.expired) == (str(key.id), "nightly", "gk_abcd", False)
    assert (row.created["en"], row.used["en"], row.expires["en"]) == (
        "1 June 2026",
        "",
        "2 June 2026",
    )
    assert key_row(key, MOMENT + DAY).expired
    key.expires_at, key.last_used_at = None, MOMENT
    row = key_row(key, MOMENT)
    assert (row.expires["ru"], row.used["ru"], row.expired) == ("", "1 июня 2026, 01:05", False)


def test_the_present_login_comes_first() -> None:
    sessions = [
        Session(
            user_id=new_id(),
            token_hash=b"x" * 32,
            channel=channel,
            created_at=MOMENT,
            expires_at=MOMENT + DAY,
            address="192.0.2.1",
            user_agent="curl/8.5.0",
        )
        for channel in (Channel.API, Channel.WEB, Channel.WEB)
    ]
    rows = login_rows(sessions, sessions[1].id)
    assert [row.id for row in rows] == [str(sessions[i].id) for i in (1, 0, 2)]
    assert [row.current for row in rows] == [True, False, False]
    assert (rows[1].channel, rows[1].device, rows[1].address) == ("api", "curl", "192.0.2.1")
    assert not any(row.current for row in login_rows(sessions, None))


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
            "Firefox, Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/128.0 Safari/537.36 Edg/128.0",
            "Edge, Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/128.0 Mobile Safari/537.36",
            "Chrome, Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Safari/604.1",
            "Safari, iPhone",
        ),
        ("python-requests/2.32.3", "python-requests"),
        ("", ""),
        ("\ufffd\ufffd", ""),
        ("<script>alert(1)</script>", ""),
    ],
)
def test_devices(user_agent: str, expected: str) -> None:
    assert device(user_agent) == expected
