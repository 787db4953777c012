"""What this process tells Prometheus. Every layer calls the small functions here.

A label has a few fixed values, never a user, an id or a path that a client made up: `GET /metrics`
stays small, and nobody learns from it who asked what. Children of labelled metrics are looked up
once: a lookup costs more than the count itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

REGISTRY = CollectorRegistry()  # not the global one: the counts are ours, not a library's
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
LOOP_SLEEP_S = 0.25
MAX_SERIES = 2048

_FAST_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SLOW_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

_requests = Counter(
    "genai_requests",
    "HTTP requests answered",
    ("route", "method", "status"),
    registry=REGISTRY,
)
_request_s = Histogram(
    "genai_request_seconds",
    "From the request's head to the end of its answer; a stream ends with its last token",
    ("route", "method"),
    buckets=(*_FAST_S, 60.0, 300.0),
    registry=REGISTRY,
)
_first_token_s = Histogram(
    "genai_first_token_seconds",
    "From the start of an answer to its first token",
    buckets=_FAST_S,
    registry=REGISTRY,
)
_answer_s = Histogram(
    "genai_answer_seconds",
    "From the start of an answer to its end",
    ("source",),
    buckets=_SLOW_S,
    registry=REGISTRY,
)
_answers = Counter(
    "genai_answers",
    "Answers by their end state and where they came from",
    ("status", "source"),
    registry=REGISTRY,
)
_tokens = Counter(
    "genai_tokens",
    "Tokens that the model read and wrote, as it counted them",
    ("kind",),
    registry=REGISTRY,
)
_cache = Counter(
    "genai_cache_lookups",
    "Questions by what the answer cache had; joined: the same one was being answered",
    ("result",),
    registry=REGISTRY,
)
_limit_hits = Counter(
    "genai_limit_hits",
    "Refusals by the limit that was used up",
    ("kind",),
    registry=REGISTRY,
)
_wait_s = Histogram(
    "genai_model_wait_seconds",
    "From the wish to call a model server to a free slot at one",
    buckets=(0.01, *_SLOW_S[:-2]),
    registry=REGISTRY,
)
_slots = Gauge(
    "genai_model_slots",
    "Slots at a model server over all processes: in use, and the most there may be",
    ("endpoint", "state"),
    registry=REGISTRY,
)
_waiting = Gauge(
    "genai_model_waiting", "Runs of this process that wait for a slot", registry=REGISTRY
)
_processes = Gauge(
    "genai_processes", "Processes of this installation, as this one knows", registry=REGISTRY
)
_breaker = Gauge(
    "genai_model_breaker",
    "Whether this process asks a model server: 0 it does, 1 it is trying, 2 it does not",
    ("endpoint",),
    registry=REGISTRY,
)
_failovers = Counter(
    "genai_model_failovers",
    "Runs that went on at another model server before their first token",
    registry=REGISTRY,
)
_running = Gauge("genai_answers_running", "Answers being made by this process", registry=REGISTRY)
_followers = Gauge("genai_followers", "Readers of running answers", registry=REGISTRY)
_sockets = Gauge("genai_event_sockets", "Open sockets of pages, logged in", registry=REGISTRY)
_pool = Gauge(
    "genai_database_connections",
    "Of the pool that queries take from: in use, and the most there may be",
    ("state",),
    registry=REGISTRY,
)
_loop_lag_s = Histogram(
    "genai_event_loop_lag_seconds",
    "How late a sleep of 0.25 s woke up; what every answer waits for too",
    buckets=_LAG_S,
    registry=REGISTRY,
)
_audit_holds = Gauge(
    "genai_audit_holds",
    "1: the audit still has the end that was signed; 0: see `genai audit verify`",
    registry=REGISTRY,
)
_directory_up = Gauge(
    "genai_directory_up",
    "1 when the company's directory answered the last time, 0 when it did not",
    registry=REGISTRY,
)
_directory_up.set(1)
_backup_age_s = Gauge(
    "genai_backup_age_seconds",
    "Age of the newest backup; infinite where there should be one and is none",
    registry=REGISTRY,
)
_drill_age_s = Gauge(
    "genai_backup_drill_age_seconds",
    "Since a backup was last restored on trial; infinite: never where there should be backups",
    registry=REGISTRY,
)
_drill_ok = Gauge(
    "genai_backup_drill_ok",
    "1: the last backup that was restored on trial was whole; 0: it was not",
    registry=REGISTRY,
)
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

# made now, so that a rate can be told from the first hit on
_cache_of = {result: _cache.labels(result) for result in ("hit", "miss", "joined")}
_limit_of = {kind: _limit_hits.labels(kind) for kind in ("rate", "parallel", "login")}
_prompt_tokens, _completion_tokens = _tokens.labels("prompt"), _tokens.labels("completion")


def render() -> bytes:
    """All of it in Prometheus' text format."""
    return generate_latest(REGISTRY)


_of_all: Callable[[], Awaitable[bytes]] | None = None


def ask_all_by(gather: Callable[[], Awaitable[bytes]]) -> None:
    """This process is one of several at one port: `gather` brings the metrics of all."""
    global _of_all
    _of_all = gather


async def render_all() -> bytes:
    """What is told at this port: of this process, or of all workers that share it."""
    return await _of_all() if _of_all else render()


def request_ended(*, route: str, method: str, status: int, total_s: float) -> None:
    """An HTTP answer was sent, or its client went away.

    Args:
        route: the template, `/dialogs/{id}`; never the path.
        status: 0 when no answer was begun.
    """
    counter, duration = _request_of(route, method if method in METHODS else "other", status)
    counter.inc()
    duration.observe(total_s)


def answer_ended(
    *,
    status: str,
    source: str,
    first_token_s: float | None,
    total_s: float,
    prompt_tokens: int | None = None,
    completion_tokens: int | None = None,
) -> None:
    """An answer reached its end state. Tokens: None where no model counted them."""
    counter, duration = _answer_of(str(status), str(source))
    counter.inc()
    duration.observe(total_s)
    if first_token_s is not None:
        _first_token_s.observe(first_token_s)
    if prompt_tokens:
        _prompt_tokens.inc(prompt_tokens)
    if completion_tokens:
        _completion_tokens.inc(completion_tokens)


def cache(result: Literal["hit", "miss", "joined"]) -> None:
    """The answer cache was asked."""
    _cache_of[result].inc()


def directory_up(up: bool) -> None:
    """Whether the company's directory answered when it was asked last."""
    _directory_up.set(float(up))


def audit_holds(holds: bool) -> None:
    """Whether the audit fits its signed end."""
    _audit_holds.set(int(holds))


def model_waited(seconds: float) -> None:
    """A run got its slot."""
    _wait_s.observe(seconds)


def failover() -> None:
    """A run tries another model server."""
    _failovers.inc()


def limit_hit(kind: Literal["rate", "parallel", "login"]) -> None:
    """Somebody was told to wait."""
    _limit_of[kind].inc()


@contextmanager
def following() -> Generator[None]:
    """Somebody reads a running answer while this lasts."""
    _followers.inc()
    try:
        yield
    finally:
        _followers.dec()


def watch(
    *,
    running: Callable[[], float],
    sockets: Callable[[], float],
    connections_used: Callable[[], float],
    connections_most: Callable[[], float],
) -> None:
    """Where the gauges look when they are read."""
    _running.set_function(running)
    _sockets.set_function(sockets)
    _pool.labels("used").set_function(connections_used)
    _pool.labels("most").set_function(connections_most)


def watch_line(waiting: Callable[[], float], processes: Callable[[], float]) -> None:
    """Where the gauges of the line, and of those who share it, look when they are read."""
    _waiting.set_function(waiting)
    _processes.set_function(processes)


def watch_endpoint(
    name: str, *, used: Callable[[], float], most: float, breaker: Callable[[], float]
) -> None:
    """Where the gauges of a model server look. `name` holds no credentials."""
    _slots.labels(name, "used").set_function(used)
    _slots.labels(name, "most").set(most)
    _breaker.labels(name).set_function(breaker)


def watch_backups(
    *, age: Callable[[], float], drill_age: Callable[[], float], drill_ok: Callable[[], float]
) -> None:
    """Where the gauges of backups look; each gives not-a-number for what is not there."""
    _backup_age_s.set_function(age)
    _drill_age_s.set_function(drill_age)
    _drill_ok.set_function(drill_ok)


async def measure_loop() -> None:
    """Measure for ever how late the event loop is."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOP_SLEEP_S
        await asyncio.sleep(LOOP_SLEEP_S)
        _loop_lag_s.observe(max(0.0, loop.time() - due))


@lru_cache(maxsize=MAX_SERIES)
def _request_of(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return _requests.labels(route, method, str(status)), _request_s.labels(route, method)


@lru_cache(maxsize=MAX_SERIES)
def _answer_of(status: str, source: str) -> tuple[Counter, Histogram]:
    return _answers.labels(status, source), _answer_s.labels(source)
