"""Reading the JSON log of a product under test; how the tests themselves log."""

import json
from typing import Any

import structlog

from tests.fakes.app_process import AppProcess


class LogMark:
    """The log of a process from the moment this was made."""

    def __init__(self, app: AppProcess) -> None:
        self._app = app
        self._begin = app.log_path.stat().st_size

    def text(self) -> str:
        with self._app.log_path.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode("utf-8", "replace")

    def events(self) -> list[dict[str, Any]]:
        """All lines. AssertionError for one that is not of our format: it went round the log."""
        found: list[dict[str, Any]] = []
        for line in filter(None, self.text().split("\n")):
            try:
                found.append(json.loads(line))
            except ValueError:
                raise AssertionError(f"a line that is no JSON: {line[:300]!r}") from None
        return found

    def bugs(self) -> list[str]:
        """What would wake somebody: errors, traces, and lines that bypass the log's format."""
        found: list[str] = []
        for line in filter(None, self.text().split("\n")):
            try:
                event = json.loads(line)
            except ValueError:
                found.append(line[:200])
                continue
            if str(event["event"]).startswith("[Reflex Frontend Exception]"):
                continue  # a browser's report of its own trouble
            if event["level"] in ("error", "critical") or "Traceback" in line:
                found.append(f"{event['logger']}: {str(event['event']).strip()[-200:]}")
        return found


def log_plainly() -> None:
    """Logs as structlog does by itself, but for its tracebacks with the variables of each frame:
    one takes seconds to draw."""
    structlog.reset_defaults()
    *first, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[*first, plain])
