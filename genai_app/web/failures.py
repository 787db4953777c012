"""What nobody foresaw: the trace goes to the log, once, and a plain sentence to the page.

The sentence is written straight to the socket. An event would run with the data of the one that
failed, and fail like it, for ever.
"""

import asyncio
from collections.abc import Mapping

import structlog
from reflex_base.event.context import EventContext

log = structlog.get_logger()

MAX_REPORT_CHARS = 500

_sending: set[asyncio.Task[None]] = set()


def handler_failed(exception: Exception, shown: Mapping[str, Mapping[str, str]]) -> None:
    """A handler raised. `shown`: the delta that tells the page so."""
    log.error("handler.bug", exc_info=exception)
    task = asyncio.ensure_future(EventContext.get().emit_delta(shown))
    _sending.add(task)
    task.add_done_callback(_sending.discard)


def page_failed(exception: Exception) -> None:
    """The browser reports a failure of its own. It may claim anything, a dialog's text among it:
    what it says is for a log that somebody has set to DEBUG."""
    log.warning("page.error", size=len(str(exception)))
    log.debug("page.error_report", report=str(exception)[:MAX_REPORT_CHARS])
