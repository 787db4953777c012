"""The functions that every layer calls to count."""

import asyncio
import re

import pytest

from genai_app import metrics
from genai_app.web.headers import route_of


def value(series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", metrics.render().decode(), re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def test_an_answer_is_counted_with_its_times_and_tokens() -> None:
    """One call at the end tells all there is to tell."""
    names = (
        'genai_answers_total{source="model",status="complete"}',
        'genai_answer_seconds_count{source="model"}',
        "genai_first_token_seconds_count",
        'genai_tokens_total{kind="prompt"}',
        'genai_tokens_total{kind="completion"}',
    )
    before = [value(name) for name in names]
    metrics.answer_ended(
        status="complete",
        source="model",
        first_token_s=0.2,
        total_s=3.0,
        prompt_tokens=11,
        completion_tokens=70,
    )
    assert [value(name) - old for name, old in zip(names, before, strict=True)] == [
        *(1, 1, 1, 11, 70)
    ]


def test_an_answer_without_a_model_counts_no_tokens() -> None:
    """From the cache, or failed before its first token."""
    names = ("genai_first_token_seconds_count", 'genai_tokens_total{kind="completion"}')
    before = [value(name) for name in names]
    metrics.answer_ended(status="failed", source="cache", first_token_s=None, total_s=0.1)
    assert [value(name) for name in names] == before


def test_cache_and_limits_are_there_from_the_start() -> None:
    """A series that appears with its first hit has no rate until the second."""
    text = metrics.render().decode()
    for result in ("hit", "miss", "joined"):
        assert f'genai_cache_lookups_total{{result="{result}"}}' in text
    for kind in ("rate", "parallel", "login"):
        assert f'genai_limit_hits_total{{kind="{kind}"}}' in text
    hits, refusals = (
        value('genai_cache_lookups_total{result="hit"}'),
        value('genai_limit_hits_total{kind="login"}'),
    )
    metrics.cache("hit")
    metrics.limit_hit("login")
    assert value('genai_cache_lookups_total{result="hit"}') == hits + 1
    assert value('genai_limit_hits_total{kind="login"}') == refusals + 1


def test_a_follower_is_counted_until_it_ends() -> None:
    """However it ends."""
    before = value("genai_followers")
    reading = metrics.following()
    reading.__enter__()
    assert value("genai_followers") == before + 1
    error = ConnectionError()
    assert not reading.__exit__(ConnectionError, error, None)
    assert value("genai_followers") == before


def test_gauges_look_when_they_are_read() -> None:
    """No caller has to keep a count."""
    running = [2]
    metrics.watch(
        running=lambda: running[0],
        sockets=lambda: 3,
        connections_used=lambda: 4,
        connections_most=lambda: 10,
    )
    running[0] = 5
    assert value("genai_answers_running") == 5
    assert value('genai_database_connections{state="used"}') == 4


async def test_the_lag_of_the_loop_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sleep that wakes late is what users wait for."""
    monkeypatch.setattr(metrics, "LOOP_SLEEP_S", 0)
    before = value("genai_event_loop_lag_seconds_count")
    task = asyncio.create_task(metrics.measure_loop())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    assert value("genai_event_loop_lag_seconds_count") > before


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/", "page"),
        ("/login", "page"),
        ("/c/01a20915-1c28-7661-bc06-a2be6ac9cb6a", "page"),
        ("/assets/app-1234.js", "asset"),
        ("/styles.css", "other"),
        ("/anything/else", "other"),
    ],
)
def test_paths_without_a_route_have_three_names(path: str, label: str) -> None:
    """Whatever is asked, the number of series stays."""
    assert route_of({"path": path}) == label


def test_methods_are_known_or_other() -> None:
    """A method is a client's word too."""
    metrics.request_ended(route="/x", method="BREW", status=405, total_s=0.0)
    assert value('genai_requests_total{method="other",route="/x",status="405"}') == 1
