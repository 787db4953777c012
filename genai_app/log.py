"""Logs each event as one line on stderr, without secrets and with escaped control characters.

One handler of the root logger writes everything, so lines of Reflex, the web server and the drivers
are cleaned too. Reflex, for example, prints whole events with their request headers in warnings.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import date, datetime
from typing import cast

import structlog
from cachetools import TTLCache
from structlog.typing import EventDict, Processor, WrappedLogger

from genai_app.settings.settings import Settings

REDACTED = "[redacted]"
MAX_TEXT = 20_000  # characters of one value
MAX_DEPTH = 6
# engineio and socketio add handlers to their loggers unless a level is set
QUIET = (
    *("httpx", "httpcore", "aiohttp", "asyncio", "sqlalchemy", "alembic", "uvicorn"),
    *("telegram", "engineio", "engineio.server", "socketio", "socketio.server"),
)
# what Reflex and Engine.IO log for each delta to a closed socket
TO_CLOSED_SOCKET = ("Attempting to send delta to disconnected client", "Cannot send to sid")
MAX_CLOSED_SOCKETS = 10_000
CLOSED_SOCKET_S = 3600.0
OWN_HANDLERS = ("reflex",)  # loggers that may have handlers of their own

_HANDLER = "genai"
# `token` but not `prompt_tokens`, `tokenizer`
_SENSITIVE = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret|cookie|authorization|credential|"
    r"api[-_ ]?key|private[-_]?key|token(?!s|iz))"
)
_SENSITIVE_KEY = re.compile(_SENSITIVE, re.IGNORECASE)
_QUOTED = r"""\\*b?"(?:[^"\\]|\\.)*"|\\*b?'(?:[^'\\]|\\.)*'"""
_NESTED = r"\[[^\[\]]{0,2000}\]|\{[^{}]{0,2000}\}"
_SEPARATOR = r"""[\w-]{0,40}\\*["']?\s*(?:[=:]|,(?=\s*\\*b?["']))\s*"""
_IN_TEXT: tuple[tuple[re.Pattern[str], str], ...] = (
    # the query of socket.io's path, in the log lines of any server
    (re.compile(r"(/_event\b[^\s?\"']{0,100})\?[^\s\"']*"), rf"\1?{REDACTED}"),
    # postgresql://user:password@host
    (re.compile(r"(://[^\s:/?#@\"']{0,100}:)[^\s@\"']{1,300}@"), rf"\1{REDACTED}@"),
    # a whole header: to the end of its line, or of its quotes in the repr of a dict or a pair
    (
        re.compile(rf"((?:cookie|authorization){_SEPARATOR})(?:{_QUOTED}|[^\r\n]+)", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
    (
        re.compile(
            rf"((?:{_SENSITIVE}|[-_]session){_SEPARATOR})"
            rf"(?!\[redacted)(?:{_QUOTED}|{_NESTED}|\\*[\"']?[^\s&;,\"'<>)}}\]\\]+)",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    # the token of a bot for Telegram, which stands in each address of its API
    (re.compile(r"(?:\b|bot)\d{1,20}(?::|%3[Aa])[A-Za-z0-9_-]{20,}"), REDACTED),
    (re.compile(r"(/bot)\d+:[^\s/\"']+"), rf"\1{REDACTED}"),
    (re.compile(r"\b(bearer)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), REDACTED),  # a JWT anywhere in the text
)

# characters that JSON does not escape: they break lines, change the direction, or are not UTF-8
_BEYOND_JSON = "\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE_JSON = re.compile(f"[{_BEYOND_JSON}]")
_UNSAFE = re.compile(f"[\x00-\x1f{_BEYOND_JSON}]")


def configure(settings: Settings) -> None:
    """Configures all logging of this process. May be called again."""
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    render = _render_json if settings.log_format == "json" else _render_console
    handler = _Handler()
    handler.set_name(_HANDLER)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.processors.format_exc_info,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                render,
            ],
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if one.get_name() == _HANDLER]:
        root.removeHandler(old)
    handler.addFilter(ClosedSockets())
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in (*QUIET, *OWN_HANDLERS):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(capture=True)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Removes secrets from every value, and converts it to a JSON type. A processor of
    structlog."""
    return {key: _clean(value, key, 0) for key, value in event.items()}


def redact_text(text: str) -> str:
    """Returns `text` without cookies, tokens, passwords and websocket queries, cut at MAX_TEXT."""
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}... ({len(text)} characters)"
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _clean(value: object, key: str, depth: int) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | date | datetime):
        return str(value)
    if _SENSITIVE_KEY.search(key):
        return REDACTED
    if isinstance(value, bytes | bytearray):
        return redact_text(value.decode("utf-8", "replace"))
    if depth < MAX_DEPTH:
        if isinstance(value, Mapping):
            pairs = cast("Mapping[object, object]", value).items()
            return {str(name): _clean(item, str(name), depth + 1) for name, item in pairs}
        if isinstance(value, list | tuple | set | frozenset):
            items = list(cast("list[object]", value))
            if len(items) == 2 and isinstance(items[0], str | bytes):  # a header in ASGI's form
                return [_clean(items[0], "", depth), _clean(items[1], str(items[0]), depth + 1)]
            return [_clean(item, "", depth + 1) for item in items]
    return redact_text(_text(value))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # an unknown class may raise anything in its __str__
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    line = json.dumps(event, ensure_ascii=False)
    return _UNSAFE_JSON.sub(_escaped, line)


def _render_console(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    # the lines of a trace are indented, so that none of them can look like an event
    trace = str(event.pop("exception", "") or "")
    time, level = str(event.pop("time", "")), str(event.pop("level", ""))
    name, text = str(event.pop("logger", "")), str(event.pop("event", ""))
    rest = [
        f"{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in event.items()
    ]
    lines = [" ".join([time, f"{level:<8}", text, *rest, f"({name})"])]
    lines += [f"  | {line}" for line in trace.splitlines()]
    return "\n".join(_UNSAFE.sub(_escaped, line) for line in lines)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


class ClosedSockets(logging.Filter):
    """Passes only the first warning about each closed socket. Reflex and Engine.IO write one for
    every delta to it."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: TTLCache[str, bool] = TTLCache(MAX_CLOSED_SOCKETS, CLOSED_SOCKET_S)

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.msg if isinstance(record.msg, str) else ""
        if not text.startswith(TO_CLOSED_SOCKET):
            return True
        line = record.getMessage()
        if line in self._seen:
            return False
        self._seen[line] = True
        return True


class _Handler(logging.Handler):
    """Writes to the present stderr. A record that cannot be formatted becomes a line without its
    arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # logging itself would print the arguments, which may contain secrets
            origin = {"logger": record.name, "file": record.pathname, "line": record.lineno}
            line = json.dumps({"event": "log.failed", "level": "error", **origin})
        try:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        except (OSError, ValueError):  # stderr is closed: serving matters more than logging
            pass
