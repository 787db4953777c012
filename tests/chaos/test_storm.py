"""N1 to N7 while processes, Redis and PostgreSQL break under people who ask; `make chaos` is the
long form."""

import pytest

from tests.storm.__main__ import run

pytestmark = pytest.mark.fault


def test_a_short_storm() -> None:
    assert run(people=9, seconds=20, seed=20) == 0
