"""One line per event on stderr, whoever logs it: secrets out, control characters made harmless.

Everything goes through one handler of the root logger, so that what Reflex, the web server or a
driver writes is cleaned as well: Reflex prints whole events, request headers and all, in warnings.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import date, datetime
from typing import cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from genai_app.settings import Settings

REDACTED = "[redacted]"
MAX_TEXT = 20_000  # characters of one value; a log is no place for a prompt
MAX_DEPTH = 6
# engineio and socketio give these two a handler of their own unless a level is set
QUIET = (
    *("httpx", "httpcore", "aiohttp", "asyncio", "sqlalchemy", "alembic", "uvicorn"),
    *("engineio", "engineio.server", "socketio", "socketio.server"),
)
OWN_HANDLERS = ("reflex",)  # loggers that may bring their own

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
    # socket.io's path, whatever server writes it
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
    (re.compile(r"\b(bearer)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), REDACTED),  # a JWT wherever it stands
)

# JSON escapes C0 itself. The rest breaks lines, turns the reading direction, or is not UTF-8.
_BEYOND_JSON = "\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE_JSON = re.compile(f"[{_BEYOND_JSON}]")
_UNSAFE = re.compile(f"[\x00-\x1f{_BEYOND_JSON}]")


def configure(settings: Settings) -> None:
    """Set up all logging of this process; may be called again."""
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
    """structlog processor: every value without secrets, and of a type that JSON knows."""
    return {key: _clean(value, key, 0) for key, value in event.items()}


def redact_text(text: str) -> str:
    """`text` without cookies, tokens, passwords and websocket queries; cut at 20,000 characters."""
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
            if len(items) == 2 and isinstance(items[0], str | bytes):  # a header as ASGI has it
                return [_clean(items[0], "", depth), _clean(items[1], str(items[0]), depth + 1)]
            return [_clean(item, "", depth + 1) for item in items]
    return redact_text(_text(value))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # whatever a stranger's __str__ does, the line is written
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    line = json.dumps(event, ensure_ascii=False)
    return _UNSAFE_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _render_console(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    # a trace stays readable: its lines are indented, so that none can pass for an event
    trace = str(event.pop("exception", "") or "")
    time, level = str(event.pop("time", "")), str(event.pop("level", ""))
    name, text = str(event.pop("logger", "")), str(event.pop("event", ""))
    rest = [
        f"{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in event.items()
    ]
    lines = [" ".join([time, f"{level:<8}", text, *rest, f"({name})"])]
    lines += [f"  | {line}" for line in trace.splitlines()]
    return "\n".join(_visible(line) for line in lines)


def _visible(text: str) -> str:
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Handler(logging.Handler):
    """Writes to what is stderr at that moment. A call that cannot be formatted becomes one line
    without its arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # a wrong format string must not print its arguments as logging does
            place = {"logger": record.name, "file": record.pathname, "line": record.lineno}
            line = json.dumps({"event": "log.failed", "level": "error", **place})
        try:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        except (OSError, ValueError):  # nobody reads any more: to serve matters more than to log
            pass
