"""The log: one line per event, and no secret in it, whoever writes."""

import json
import logging
import time
import warnings
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import structlog
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from genai_app import log
from genai_app.settings.settings import Settings

CANARY = "c4nary-5ecret-value"
NASTY = "a\r\nb\x1b[31m\x85\u2028\u2029\x00\x07\u202e\ud800<b>"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(
    settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str], clean_logging: None
) -> Lines:
    """What was logged since the last call, parsed; anything that is no JSON line fails."""
    log.configure(settings(log_format="json", log_level="DEBUG"))

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return read


def _get() -> Any:
    return structlog.stdlib.get_logger("genai_app.test")


def test_one_line_with_its_fields(lines: Lines) -> None:
    structlog.contextvars.bind_contextvars(request_id="r-1")
    _get().info("started", port=8000, ok=True, ratio=0.5, ident=UUID(int=0), nothing=None)
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "started",
        "level": "info",
        "logger": "genai_app.test",
        "request_id": "r-1",
        "port": 8000,
        "ok": True,
        "ratio": "0.5",
        "ident": str(UUID(int=0)),
        "nothing": None,
    }


def test_control_characters_make_no_line(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    """CR, LF, ANSI, separators and direction marks in event, key and value."""
    _get().warning(NASTY, **{"field": NASTY, NASTY: [NASTY, {NASTY: NASTY}]})
    logging.getLogger("other").warning("%s", NASTY)
    try:
        raise ValueError(NASTY)
    except ValueError:
        _get().exception("failed")

    raw = capsys.readouterr().err
    assert raw.count("\n") == 3
    assert len(raw.splitlines()) == 3
    assert not set(raw) & set("\r\x1b\x85\u2028\u2029\x00\x07\u202e\ud800")
    first = json.loads(raw.splitlines()[0])
    assert first["event"] == first["field"] == NASTY


@hypothesis_settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.characters(codec=None, categories=None)))
def test_any_text_is_one_json_line(
    lines: Lines, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    _get().info("typed", field=text)
    (raw,) = capsys.readouterr().err.splitlines()
    assert json.loads(raw)["event"] == "typed"


def test_console_lines_cannot_be_forged(
    settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str], clean_logging: None
) -> None:
    """On a console a trace keeps its lines, but they are indented."""
    log.configure(settings(log_format="console"))
    _get().info(NASTY, **{"field": NASTY, NASTY: NASTY, "password": CANARY})
    try:
        raise ValueError(f"{NASTY}\n2026-01-01T00:00:00Z info forged token={CANARY}")
    except ValueError:
        _get().exception("failed")
    raw = capsys.readouterr().err
    assert CANARY not in raw
    assert not set(raw) & set("\r\x1b\x85\u2028\u2029\x00\x07\u202e\ud800")
    events = [line for line in raw.split("\n") if line and not line.startswith("  | ")]
    assert len(events) == 2


@pytest.mark.parametrize(
    "key",
    [
        *("password", "Password", "new_password", "passwd", "token", "access_token"),
        *("refreshToken", "csrf_token", "cookie", "Set-Cookie", "authorization"),
        *("Proxy-Authorization", "secret", "secret_key", "private_key", "credentials"),
        *("api_key", "apiKey", "x-api-key"),
    ],
)
@pytest.mark.parametrize("value", [CANARY, CANARY.encode(), [CANARY], {"a": CANARY}])
def test_secret_keys(lines: Lines, key: str, value: object) -> None:
    """At any depth, and in the header pairs of ASGI."""
    _get().info("x", **{key: value})
    _get().info(
        "x", scope={"headers": [(key.encode(), value), (b"host", b"h")]}, deep=[{key: value}]
    )
    logging.getLogger("other").info("%s", {key: value})
    found = lines()
    assert len(found) == 3
    assert CANARY not in json.dumps(found)
    assert found[0][key] == log.REDACTED
    assert found[1]["scope"]["headers"][1] == ["host", "h"]


@pytest.mark.parametrize("key", ["prompt_tokens", "max_tokens", "tokenizer", "session_id", "path"])
def test_what_is_no_secret_stays(lines: Lines, key: str) -> None:
    _get().info("x", **{key: "value"}, token_count=3)
    (line,) = lines()
    assert line[key] == "value"
    assert line["token_count"] == 3


@pytest.mark.parametrize(
    "text",
    [
        "Cookie: genai_session={0}; theme=dark",
        "cookie: theme=dark; genai_session={0}",
        "set-cookie: genai_session={0}; HttpOnly; Path=/",
        "{{'headers': {{'cookie': 'a=1; genai_session={0}', 'host': 'h'}}}}",
        '{{"headers": {{"cookie": "a=\\"1\\"; genai_session={0}"}}}}',
        '"{{\\"password\\": \\"{0} x\\"}}"',
        "HeaderData(host='h', cookie='genai_session={0}', origin='')",
        "[(b'cookie', b'genai_session={0}'), (b'host', b'h')]",
        "Event(payload={{'username': 'alice', 'password': '{0}'}})",
        "Authorization: Bearer {0}",
        "authorization: Basic {0}",
        "curl -H 'Authorization: Bearer {0}'",
        "sent bearer {0} again",
        "GET /download?token={0}&page=2",
        "GET /x?access_token={0}",
        "password={0}",
        "password = '{0}",
        "api_key: {0}",
        "postgresql://genai:{0}@db/genai",
        "redis://:{0}@redis:6379/0",
        "eyJhbGciOiJIUzI1NiJ9.{0}.sig",
        'GET /_event/?token={0}&EIO=4&transport=websocket HTTP/1.1" 101',
        "ws://localhost:8000/_event/?EIO=4&t={0} open",
    ],
)
def test_secrets_in_texts(lines: Lines, text: str) -> None:
    """In messages, in values, in what an exception says."""
    text = text.format(CANARY)
    logging.getLogger("reflex.app").warning(text)
    logging.getLogger("reflex_base.event").warning("%s", text)
    _get().info("x", field=text, nested=[{"deep": text}])
    try:
        raise RuntimeError(text)
    except RuntimeError:
        _get().exception("failed")
        logging.getLogger("reflex").exception("failed")
    found = lines()
    assert len(found) == 5
    assert CANARY not in json.dumps(found)
    assert log.REDACTED in found[0]["event"]


def test_rest_of_the_text_stays() -> None:
    assert log.redact_text("user alice: password=x, host=h") == (
        f"user alice: password={log.REDACTED}, host=h"
    )
    assert log.redact_text("GET /_event/?token=x HTTP/1.1") == (
        f"GET /_event/?{log.REDACTED} HTTP/1.1"
    )
    plain = "512 tokens, tokenizer ready, session_id=7, http://localhost:8000/c/1?x=2"
    assert log.redact_text(plain) == plain


def test_long_text_is_cut(lines: Lines) -> None:
    _get().info("x", field="a" * 1_000_000)
    (line,) = lines()
    assert len(line["field"]) < 21_000


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "token",
        "cookie:",
        "'",
        "\\",
        "token\\",
        "://",
        "eyJ",
        "token ",
        "token=[",
        "token={",
        'token="\\',
        "/_event",
    ],
)
def test_redaction_is_linear(unit: str) -> None:
    """No text makes the log a way to stop the loop."""
    text = unit * (log.MAX_TEXT // len(unit))
    before = time.process_time()
    log.redact_text(text)
    assert time.process_time() - before < 0.25


def test_strange_values_do_no_harm(lines: Lines) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError(CANARY)

    endless: list[Any] = []
    endless.append(endless)
    _get().info("x", broken=Broken(), endless=endless, number=float("nan"), token=None)
    (line,) = lines()
    assert line["broken"] == "<Broken: RuntimeError>"
    assert line["number"] == "nan"
    assert line["token"] is None


def test_a_wrong_format_string_is_one_line(lines: Lines) -> None:
    # to our handler alone: pytest's own raises
    (handler,) = [one for one in logging.getLogger().handlers if one.get_name() == "genai"]
    handler.handle(logging.makeLogRecord({"name": "other", "msg": "%d of %d", "args": (CANARY,)}))
    (line,) = lines()
    assert line["event"] == "log.failed"
    assert line["logger"] == "other"
    assert CANARY not in json.dumps(line)


@pytest.mark.parametrize("name", log.QUIET)
def test_talkative_libraries_are_quiet(lines: Lines, name: str) -> None:
    """Httpx would log whole addresses at INFO."""
    logging.getLogger(f"{name}.child").info("x")
    assert lines() == []
    logging.getLogger(f"{name}.child").warning("x")
    assert len(lines()) == 1


def test_level(settings: Callable[..., Settings], lines: Lines) -> None:
    log.configure(settings(log_format="json", log_level="ERROR"))
    _get().warning("x")
    logging.getLogger("httpx").warning("x")
    assert lines() == []
    _get().error("x")
    assert len(lines()) == 1


def test_configured_twice_logs_once(settings: Callable[..., Settings], lines: Lines) -> None:
    log.configure(settings(log_format="json"))
    _get().info("x")
    assert len(lines()) == 1


def test_warnings_are_events(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn(f"deprecated token={CANARY}\nnext", stacklevel=1)
    (line,) = lines()
    assert line["logger"] == "py.warnings"
    assert CANARY not in line["event"]


def test_no_line_holds_the_query_of_the_event_socket(lines: Lines) -> None:
    """Whichever logger writes it, the client token in the socket's address stays out."""
    logging.getLogger("anything").warning('"WebSocket /_event/?EIO=4&token=%s" 403', CANARY)
    (line,) = lines()
    assert "/_event/" in line["event"]
    assert CANARY not in json.dumps(line)


def test_the_socket_libraries_bring_no_handler_of_their_own(lines: Lines) -> None:
    """What engineio and socketio say passes through the redaction, or not at all."""
    import socketio  # pyright: ignore[reportMissingTypeStubs]

    socketio.AsyncServer(async_mode="asgi")
    for name in ("engineio.server", "socketio.server"):
        assert logging.getLogger(name).handlers == []
        logging.getLogger(name).error("bad event {'password': '%s'}", CANARY)
    assert len(lines()) == 2
    assert CANARY not in json.dumps(lines())


def test_a_closed_socket_is_one_line(lines: Lines) -> None:
    """However many deltas were meant for it; another socket has a line of its own."""
    for _ in range(3):
        for client in ("one", "two"):
            text = f"Attempting to send delta to disconnected client {client!r}"
            logging.getLogger("reflex.app").warning(text)
            logging.getLogger("engineio.server").warning("Cannot send to sid %s", client)
        logging.getLogger("other").warning("said again")
    assert len(lines()) == 4 + 3
