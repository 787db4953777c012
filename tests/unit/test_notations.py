"""Limits as they are written."""

import pytest

from genai_app.settings.notations import limit_text, parse_limit


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("30/minute", "30/minute"),
        ("30 per 1 minute", "30/minute"),
        ("1000 per 8 hours", "1000/8 hours"),
        ("2/10second", "2/10 seconds"),
        ("5/day", "5/day"),
    ],
)
def test_a_limit_is_told_as_it_can_be_written(written: str, told: str) -> None:
    limit = parse_limit(written)
    assert limit_text(limit) == told
    assert parse_limit(told) == limit
