"""Keeps `clock.now()` at the database's time, and says how far this host's own clock is off."""

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
TRIES = 3  # the one with the shortest round trip is the most exact
OFF_S = 2.0  # from here on the host's clock is reported as wrong


class DatabaseClock:
    """Measures the clocks. `offset_s`: by how much this host's clock was ahead of the database's
    when it was measured last; negative when it is behind."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._is_off = False
        self.offset_s = 0.0

    @property
    def is_off(self) -> bool:
        """Whether the host's clock is wrong by more than OFF_S."""
        return abs(self.offset_s) > OFF_S

    async def run(self) -> None:
        """Measures each minute, until cancelled."""
        await every(MEASURE_S, self.measure)

    async def measure(self) -> float:
        """Measures the offset and corrects `clock.now()`. Returns `offset_s`.

        Raises:
            StorageUnavailable: `clock.now()` counts on as before.
        """
        moment, at, uncertain_s = await self._read()
        shown_s = (clock.host_time() - moment).total_seconds() - (clock.steady_s() - at)
        wrong_s = abs((clock.now() - moment).total_seconds() - (clock.steady_s() - at))
        if wrong_s > uncertain_s:  # else the measurement is no better than what is known
            clock.set_time(moment, at)
        self.offset_s = shown_s
        await self._go_on_from_newest_id()
        metrics.clock_offset(shown_s)
        self._report()
        return shown_s

    async def _read(self) -> tuple[datetime, float, float]:
        """The database's time, the steady clock's at that moment, and by how much it may be off."""
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

    async def _go_on_from_newest_id(self) -> None:
        """Has this process make ids that are greater than those of messages, which are read in the
        order of their ids: where the clock was set back, time alone would make smaller ones."""
        newest = sa.select(col(Message.id)).order_by(col(Message.id).desc()).limit(1)
        async with self._db.read() as session:
            new_id(after=await session.scalar(newest))

    def _report(self) -> None:
        """Logs when the host's clock goes wrong and when it is right again."""
        if self.is_off != self._is_off:
            self._is_off = self.is_off
            if self.is_off:
                log.warning("clock.off", offset_s=round(self.offset_s, 3))
            else:
                log.info("clock.right", offset_s=round(self.offset_s, 3))
