"""Keeps `clock.now()` equal to the database's time and measures the error of the host's clock."""

from datetime import datetime

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import clock, metrics
from genai_app.db.database import Database
from genai_app.models import Message, new_id
from genai_app.models.database_time import database_now
from genai_app.services.background import every

log = structlog.stdlib.get_logger(__name__)

MEASURE_S = 60.0
TRIES = 3  # the measurement with the shortest round trip is the most exact
OFF_S = 2.0  # a larger error of the host's clock is reported


class DatabaseClock:
    """Compares the host's clock with the database's.

    Attributes:
        offset_s: the seconds by which the host's clock was ahead at the last measurement; negative
            when it was behind.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._is_off = False
        self.offset_s = 0.0

    @property
    def is_off(self) -> bool:
        """True if the error of the host's clock is larger than OFF_S."""
        return abs(self.offset_s) > OFF_S

    async def run(self) -> None:
        """Measures every minute until cancelled."""
        await every(MEASURE_S, self.measure)

    async def measure(self) -> float:
        """Measures the offset and corrects `clock.now()`. Returns `offset_s`.

        Raises:
            StorageUnavailable: `clock.now()` continues without a correction.
        """
        moment, at, uncertain_s = await self._read()
        offset_s = (clock.host_time() - moment).total_seconds() - (clock.steady_s() - at)
        error_s = abs((clock.now() - moment).total_seconds() - (clock.steady_s() - at))
        if error_s > uncertain_s:  # else the correction would not be more exact than now
            clock.set_time(moment, at)
        self.offset_s = offset_s
        await self._continue_ids()
        metrics.clock_offset(offset_s)
        self._report()
        return offset_s

    async def _read(self) -> tuple[datetime, float, float]:
        """Returns the database's time, the steady clock's seconds at that moment, and the largest
        error in seconds."""
        best: tuple[datetime, float, float] | None = None
        async with self._db.read() as session:
            for _ in range(TRIES):
                before = clock.steady_s()
                moment = await session.scalar(sa.select(database_now()))
                half_s = (clock.steady_s() - before) / 2
                assert moment is not None
                if best is None or half_s < best[2]:
                    best = (moment, before + half_s, half_s)
        assert best is not None
        return best

    async def _continue_ids(self) -> None:
        """Makes the next ids of this process greater than all ids of messages, which are read in
        the order of their ids. After the clock was set back, time alone would give smaller ids."""
        newest = sa.select(col(Message.id)).order_by(col(Message.id).desc()).limit(1)
        async with self._db.read() as session:
            new_id(after=await session.scalar(newest))

    def _report(self) -> None:
        """Logs when the host's clock becomes wrong and when it is right again."""
        if self.is_off != self._is_off:
            self._is_off = self.is_off
            if self.is_off:
                log.warning("clock.off", offset_s=round(self.offset_s, 3))
            else:
                log.info("clock.right", offset_s=round(self.offset_s, 3))
