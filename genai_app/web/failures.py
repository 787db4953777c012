"""Reports bugs of handlers and pages: the trace goes to the log, and a plain sentence to the page.

The sentence is written directly to the socket. An event would run with the data of the failed one,
and would fail again and again.
"""

import asyncio
from collections.abc import Mapping

import structlog
from reflex_base.event.context import EventContext

log = structlog.get_logger()

MAX_REPORT_CHARS = 500

_sending: set[asyncio.Task[None]] = set()


def handler_failed(exception: Exception, shown: Mapping[str, Mapping[str, str]]) -> None:
    """Logs the exception of a handler. `shown`: the delta that shows an error on the page."""
    log.error("handler.bug", exc_info=exception)
    task = asyncio.ensure_future(EventContext.get().emit_delta(shown))
    _sending.add(task)
    task.add_done_callback(_sending.discard)


def page_failed(exception: Exception) -> None:
    """Logs an error that the browser reports. The report may contain any text, also of a dialog, so
    it is logged only at the level DEBUG."""
    log.warning("page.error", size=len(str(exception)))
    log.debug("page.error_report", report=str(exception)[:MAX_REPORT_CHARS])
