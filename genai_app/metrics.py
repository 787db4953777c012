"""The Prometheus metrics of this process. Every layer calls the small functions of this module.

A label has a few fixed values, never a user, an id or a path from a client: so `GET /metrics` stays
small and reveals nothing about users. Children of labelled metrics are looked up once, since a
lookup costs more than the count itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
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

REGISTRY = CollectorRegistry()  # not the global one, to which libraries add metrics
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
    "Time from the request's headers to the end of its response; a stream ends with its last token",
    ("route", "method"),
    buckets=(*_FAST_S, 60.0, 300.0),
    registry=REGISTRY,
)
_first_token_s = Histogram(
    "genai_first_token_seconds",
    "Time from the start of an answer to its first token",
    buckets=_FAST_S,
    registry=REGISTRY,
)
_answer_s = Histogram(
    "genai_answer_seconds",
    "Time from the start of an answer to its end",
    ("source",),
    buckets=_SLOW_S,
    registry=REGISTRY,
)
_answers = Counter(
    "genai_answers",
    "Answers by end state and source",
    ("status", "source"),
    registry=REGISTRY,
)
_tokens = Counter(
    "genai_tokens",
    "Prompt and completion tokens, as the model counted them",
    ("kind",),
    registry=REGISTRY,
)
_titles = Counter(
    "genai_titles",
    "Titles that the model was asked for; busy: it had other work; unfit: what it said is no title",
    ("result",),
    registry=REGISTRY,
)
_cache = Counter(
    "genai_cache_lookups",
    "Lookups in the answer cache; joined: the same question was being answered",
    ("result",),
    registry=REGISTRY,
)
_limit_hits = Counter(
    "genai_limit_hits",
    "Refusals by kind of limit",
    ("kind",),
    registry=REGISTRY,
)
_files = Counter("genai_files_uploaded", "Files that users uploaded", registry=REGISTRY)
_file_bytes = Counter(
    "genai_file_bytes_uploaded", "Bytes of the files that users uploaded", registry=REGISTRY
)
_file_s = Histogram(
    "genai_file_reading_seconds",
    "Time in which an uploaded file was read, by how it ended",
    ("result",),
    buckets=_SLOW_S[:-3],
    registry=REGISTRY,
)
_files_kept = Gauge(
    "genai_files",
    "Files of all users by state, as of the last look a minute ago at most",
    ("state",),
    registry=REGISTRY,
)
_file_bytes_kept = Gauge(
    "genai_file_bytes",
    "Bytes of the files of all users, equal contents of one user once; as of that look",
    registry=REGISTRY,
)
_wait_s = Histogram(
    "genai_model_wait_seconds",
    "Time that a model run waited for a slot",
    buckets=(0.01, *_SLOW_S[:-2]),
    registry=REGISTRY,
)
_slots = Gauge(
    "genai_model_slots",
    "Slots of a model server over all processes: in use, and at most",
    ("endpoint", "state"),
    registry=REGISTRY,
)
_waiting = Gauge(
    "genai_model_waiting", "Model runs of this process that wait for a slot", registry=REGISTRY
)
_processes = Gauge(
    "genai_processes", "Processes of this installation that this one sees", registry=REGISTRY
)
_breaker = Gauge(
    "genai_model_breaker",
    "Circuit breaker of a model server in this process: 0 closed, 1 half open, 2 open",
    ("endpoint",),
    registry=REGISTRY,
)
_failovers = Counter(
    "genai_model_failovers",
    "Model runs that moved to another model server before their first token",
    registry=REGISTRY,
)
_running = Gauge("genai_answers_running", "Running answers of this process", registry=REGISTRY)
_followers = Gauge("genai_followers", "Readers of running answers", registry=REGISTRY)
_sockets = Gauge("genai_event_sockets", "Open sockets of pages with a login", registry=REGISTRY)
_pool = Gauge(
    "genai_database_connections",
    "Connections of the pool for queries: in use, and at most",
    ("state",),
    registry=REGISTRY,
)
_loop_lag_s = Histogram(
    "genai_event_loop_lag_seconds",
    "Delay of a sleep of 0.25 s in the event loop, which delays every answer too",
    buckets=_LAG_S,
    registry=REGISTRY,
)
_clock_offset_s = Gauge(
    "genai_clock_offset_seconds",
    "Seconds that this host's clock is ahead of the database's clock; negative: behind",
    registry=REGISTRY,
)
_audit_holds = Gauge(
    "genai_audit_holds",
    "1: the audit log fits its signed end; 0: run `genai audit verify`",
    registry=REGISTRY,
)
_directory_up = Gauge(
    "genai_directory_up",
    "1: the company's directory answered the last request; 0: it did not",
    registry=REGISTRY,
)
_directory_up.set(1)
_directory_alarms = Gauge(
    "genai_directory_alarms",
    "Groups of the settings, or people, that cannot be found or read in the directory",
    ("cause",),
    registry=REGISTRY,
)
_backup_age_s = Gauge(
    "genai_backup_age_seconds",
    "Age of the newest backup; infinite if there should be one but is none",
    registry=REGISTRY,
)
_drill_age_s = Gauge(
    "genai_backup_drill_age_seconds",
    "Time since the last trial restore of a backup; infinite if there should be one but was none",
    registry=REGISTRY,
)
_drill_ok = Gauge(
    "genai_backup_drill_ok",
    "1: the last trial restore found the backup complete; 0: it did not",
    registry=REGISTRY,
)
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

# created at once with the value 0, so that `rate` includes the first hit
_cache_of = {result: _cache.labels(result) for result in ("hit", "miss", "joined")}
_limit_of = {kind: _limit_hits.labels(kind) for kind in ("rate", "parallel", "login", "files")}
_prompt_tokens, _completion_tokens = _tokens.labels("prompt"), _tokens.labels("completion")
_title_of = {result: _titles.labels(result) for result in ("made", "busy", "unfit", "failed")}
_title_prompt_tokens = _tokens.labels("title_prompt")
_title_completion_tokens = _tokens.labels("title_completion")


def render() -> bytes:
    """Returns the metrics of this process in Prometheus' text format."""
    return generate_latest(REGISTRY)


_collect_all: Callable[[], Awaitable[bytes]] | None = None


def collect_all_by(collect: Callable[[], Awaitable[bytes]]) -> None:
    """Sets the function that collects the metrics of all workers at this port."""
    global _collect_all
    _collect_all = collect


async def render_all() -> bytes:
    """Returns the metrics of all workers at this port, or of this process if it is the only one."""
    return await _collect_all() if _collect_all else render()


def request_ended(*, route: str, method: str, status: int, total_s: float) -> None:
    """Counts an HTTP request whose response was sent, or whose client disconnected.

    Args:
        route: the template, such as `/dialogs/{id}`; never the path.
        status: 0 if no response was begun.
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
    """Counts an answer that has ended. Tokens are None if no model counted them."""
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
    """Counts a lookup in the answer cache."""
    _cache_of[result].inc()


def title_ended(
    result: Literal["made", "busy", "unfit", "failed"],
    *,
    prompt_tokens: int | None = None,
    completion_tokens: int | None = None,
) -> None:
    """Counts a title that the model was asked for. Its tokens have kinds of their own, so that
    those of answers stay comparable."""
    _title_of[result].inc()
    _title_prompt_tokens.inc(prompt_tokens or 0)
    _title_completion_tokens.inc(completion_tokens or 0)


def directory_up(up: bool) -> None:
    """Sets whether the company's directory answered the last request."""
    _directory_up.set(float(up))


def clock_offset(seconds: float) -> None:
    """Sets how far the host's clock is ahead of the database's clock."""
    _clock_offset_s.set(seconds)


def directory_alarms(cause: str, count: int) -> None:
    """Sets the number of open alarms of a cause (services/accounts/directory_alarms.py)."""
    _directory_alarms.labels(cause).set(count)


def audit_holds(holds: bool) -> None:
    """Sets whether the audit log fits its signed end."""
    _audit_holds.set(int(holds))


def model_waited(seconds: float) -> None:
    """Counts a model run that got its slot after this wait."""
    _wait_s.observe(seconds)


def failover() -> None:
    """Counts a model run that moves to another model server."""
    _failovers.inc()


def limit_hit(kind: Literal["rate", "parallel", "login", "files"]) -> None:
    """Counts a refusal by a limit."""
    _limit_of[kind].inc()


def file_uploaded(size: int) -> None:
    """Counts a file that was uploaded, with its bytes."""
    _files.inc()
    _file_bytes.inc(size)


def file_read(result: Literal["read", "failed"], seconds: float) -> None:
    """Counts a file that was read, or that could not be."""
    _file_s.labels(result).observe(seconds)


def files_kept(states: Mapping[str, int], size: int) -> None:
    """Sets how many files there are by state, and their bytes."""
    for state, count in states.items():
        _files_kept.labels(state).set(count)
    _file_bytes_kept.set(size)


@contextmanager
def following() -> Generator[None]:
    """Counts a reader of a running answer while the block lasts."""
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
    """Sets the functions that the gauges of this process read."""
    _running.set_function(running)
    _sockets.set_function(sockets)
    _pool.labels("used").set_function(connections_used)
    _pool.labels("most").set_function(connections_most)


def watch_queue(waiting: Callable[[], float], processes: Callable[[], float]) -> None:
    """Sets the functions that the gauges of the queue and of its processes read."""
    _waiting.set_function(waiting)
    _processes.set_function(processes)


def watch_endpoint(
    name: str, *, used: Callable[[], float], most: float, breaker: Callable[[], float]
) -> None:
    """Sets the functions that the gauges of a model server read. `name` contains no credentials."""
    _slots.labels(name, "used").set_function(used)
    _slots.labels(name, "most").set(most)
    _breaker.labels(name).set_function(breaker)


def watch_backups(
    *, age: Callable[[], float], drill_age: Callable[[], float], drill_ok: Callable[[], float]
) -> None:
    """Sets the functions that the gauges of backups read. They return NaN without a backup."""
    _backup_age_s.set_function(age)
    _drill_age_s.set_function(drill_age)
    _drill_ok.set_function(drill_ok)


async def measure_loop() -> None:
    """Measures the lag of the event loop until it is cancelled."""
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
