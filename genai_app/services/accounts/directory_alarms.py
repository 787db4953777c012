"""Alarms of the directory: a group of the settings, or accounts, that cannot be found or read.
During an alarm nobody loses rights because of it. Logs, metrics, the audit and `/admin` show it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import clock, metrics
from genai_app.db.database import Database
from genai_app.models import AuditEvent
from genai_app.services.audit.events import Action, Audit, Outcome, event

log = structlog.stdlib.get_logger(__name__)

BY = "the directory"
MAX_OF_A_CAUSE = 10
AUDITED_EVERY = timedelta(minutes=10)  # several processes that see an alarm record it once


class AlarmCause(StrEnum):
    """Causes of alarms. Each has a sentence in locales/*.json: `directory.alarm.<cause>`."""

    GROUP_MISSING = "group_missing"
    GROUP_AMBIGUOUS = "group_ambiguous"
    GROUP_UNREADABLE = "group_unreadable"
    PEOPLE_UNREADABLE = "people_unreadable"
    PEOPLE_VANISHED = "people_vanished"


GROUP_CAUSES = (AlarmCause.GROUP_MISSING, AlarmCause.GROUP_AMBIGUOUS, AlarmCause.GROUP_UNREADABLE)


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm. `name`: the group or the account; "" for accounts that vanished together."""

    cause: AlarmCause
    name: str


class DirectoryAlarms:
    """Keeps the alarms that this process sees now, and since when."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._audit = Audit(db)
        self._standing: dict[Alarm, datetime] = {}
        self._seen_at: dict[Alarm, datetime] = {}  # only of alarms from `add`
        for cause in AlarmCause:
            metrics.directory_alarms(cause, 0)

    @property
    def standing(self) -> list[Alarm]:
        """The present alarms, sorted by cause and name."""
        return sorted(self._standing, key=lambda alarm: (alarm.cause, alarm.name))

    def since(self, cause: AlarmCause) -> datetime | None:
        """Returns the begin of the oldest alarm of a cause; None without one."""
        moments = [at for alarm, at in self._standing.items() if alarm.cause is cause]
        return min(moments, default=None)

    async def replace(self, causes: Collection[AlarmCause], alarms: Collection[Alarm]) -> None:
        """Replaces the alarms of `causes` by `alarms`. Logs and records what begins and ends."""
        ended = [each for each in self._standing if each.cause in causes and each not in alarms]
        begun = [each for each in alarms if each not in self._standing]
        for alarm in ended:
            del self._standing[alarm]
        self._standing |= dict.fromkeys(begun, clock.now())
        for cause in causes:
            count = sum(alarm.cause is cause for alarm in self._standing)
            metrics.directory_alarms(cause, count)
        for alarm in begun:
            log.error("directory.alarm", cause=alarm.cause, name=alarm.name)
            await self._record(alarm, Outcome.REFUSED, "begun")
        for alarm in ended:
            log.info("directory.alarm_over", cause=alarm.cause, name=alarm.name)
            await self._record(alarm, Outcome.DONE, "over")

    async def add(self, alarm: Alarm) -> None:
        """Adds an alarm, unless its cause has MAX_OF_A_CAUSE already."""
        same = [each for each in self._standing if each.cause is alarm.cause]
        if alarm in same or len(same) < MAX_OF_A_CAUSE:
            self._seen_at[alarm] = clock.now()
            await self.replace((alarm.cause,), [*same, alarm])

    async def end_older(self, cause: AlarmCause, seconds: float) -> None:
        """Ends the alarms of a cause that were not added again in the last `seconds`."""
        oldest = clock.now() - timedelta(seconds=seconds)
        seen = {each: at for each, at in self._seen_at.items() if each in self._standing}
        self._seen_at = {each: at for each, at in seen.items() if at >= oldest}
        left = [each for each in self._seen_at if each.cause is cause]
        await self.replace((cause,), left)

    async def end(self, alarm: Alarm) -> None:
        """Ends an alarm, if there is one."""
        if alarm in self._standing:
            left = [each for each in self._standing if each.cause is alarm.cause]
            left.remove(alarm)
            await self.replace((alarm.cause,), left)

    async def _record(self, alarm: Alarm, outcome: Outcome, state: str) -> None:
        row = event(
            Action.DIRECTORY_ALARM,
            outcome,
            by=BY,
            target=alarm.name,
            reason=alarm.cause,
            state=state,
        )
        same = sa.select(col(AuditEvent.id)).where(
            col(AuditEvent.action) == row.action,
            col(AuditEvent.target) == row.target,
            col(AuditEvent.details) == row.details,
            col(AuditEvent.at) > clock.now() - AUDITED_EVERY,
        )
        async with self._db.read() as session:
            if await session.scalar(same.limit(1)) is None:
                await self._audit.record(row)
