"""The status of the directory as this process saw it last: for health, logs, metrics and audit."""

import asyncio

import structlog

from genai_app import metrics
from genai_app.adapters.directory.client import Directory
from genai_app.db.database import Database
from genai_app.errors import AppError, DirectoryUnavailable
from genai_app.services.accounts.directory_alarms import BY
from genai_app.services.audit.events import Action, Audit, Outcome, event

log = structlog.stdlib.get_logger(__name__)

AUDITED_EVERY_S = 600.0
FRESH_S = 10.0  # an answer or failure of the directory counts so long without a new check


class DirectoryStatus:
    """Collects the answers and failures of the directory. Whoever calls the directory reports them
    here."""

    def __init__(self, db: Database, directory: Directory) -> None:
        self._directory = directory
        self._audit = Audit(db)
        self._is_up = True
        self._fresh_until = 0.0  # of the event loop's clock
        self._audited_at: float | None = None

    async def check(self) -> None:
        """Asks the directory unless it answered or failed in the last FRESH_S seconds. Raises
        DirectoryUnavailable."""
        if asyncio.get_running_loop().time() >= self._fresh_until:
            try:
                await self._directory.check()
            except DirectoryUnavailable as error:
                await self.directory_failed(error)
            else:
                self.directory_recovered()
        if not self._is_up:
            raise DirectoryUnavailable

    async def directory_failed(self, error: AppError) -> None:
        """Starts or continues an outage. Each failure is logged; the audit gets one event in
        AUDITED_EVERY_S seconds."""
        metrics.directory_up(False)
        log.error("directory.unavailable", detail=error.detail)
        self._is_up = False
        now = asyncio.get_running_loop().time()
        self._fresh_until = now + FRESH_S
        if self._audited_at is None or now - self._audited_at > AUDITED_EVERY_S:
            self._audited_at = now
            await self._audit.record(
                event(Action.DIRECTORY_LOST, Outcome.REFUSED, by=BY, reason=error.detail)
            )

    def directory_recovered(self) -> None:
        """Ends the outage, if there is one, after an answer of the directory."""
        metrics.directory_up(True)
        self._fresh_until = asyncio.get_running_loop().time() + FRESH_S
        if not self._is_up:
            self._is_up = True
            self._audited_at = None
            log.info("directory.back")
