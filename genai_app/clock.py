"""The only source of time: the database's clock, so that all processes agree.

It is measured at the start and every minute (services/database_clock.py); in between a steady clock
counts on. The host's clock may be wrong or jump without any effect. Until the first measurement,
time counts on from the host's clock at the start.
"""

import time
from datetime import UTC, datetime, timedelta

# counts on while a laptop sleeps, which time.monotonic() does not
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def host_time() -> datetime:
    """Returns the time of the host's clock, aware, in UTC. Use it only to compare clocks."""
    return datetime.now(UTC)


def steady_s() -> float:
    """Returns the seconds of a clock that never jumps. Only differences have a meaning."""
    return time.clock_gettime(_STEADY)


_moment, _moment_at = host_time(), steady_s()


def now() -> datetime:
    """Returns the present time, aware, in UTC."""
    return _moment + timedelta(seconds=steady_s() - _moment_at)


def set_time(moment: datetime, at: float) -> None:
    """Sets the clock: the time was `moment` when `steady_s()` was `at`."""
    global _moment, _moment_at
    _moment, _moment_at = moment, at
