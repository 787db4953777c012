"""bench/capacity.py against what queueing theory knows, and docs/capacity.md against it."""

import math
import random
import re
from collections.abc import Iterator
from dataclasses import fields, replace

import pytest

from bench.capacity import (
    Assumptions,
    Question,
    model_servers,
    processes,
    quantile,
    table,
    waits,
    waits_of_the_busiest,
)
from tests.fakes.app_process import ROOT

COMPANY = Assumptions()
DOCUMENT = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")


def erlang_c(servers: int, load: float) -> float:
    """How likely a question waits: Poisson arrivals, exponential service, `load` in erlangs."""
    terms = [load**count / math.factorial(count) for count in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


def poisson(arrivals_per_s: float, mean_tokens: float, count: int) -> Iterator[Question]:
    dice, at = random.Random(11), 0.0
    for _ in range(count):
        at += dice.expovariate(arrivals_per_s)
        yield at, dice.expovariate(1 / mean_tokens)


@pytest.mark.parametrize(("servers", "slots"), [(1, 8), (4, 2)])
def test_the_line_is_that_of_theory(servers: int, slots: int) -> None:
    """M/M/8, however the slots lie: a speed that does not depend on how many run."""
    count, load = servers * slots, 6.4
    waited = waits(poisson(load, 10, 60_000), servers, slots, lambda _: 10.0)
    assert len(waited) == 60_000
    likely = erlang_c(count, load)
    assert sum(each > 0 for each in waited) / len(waited) == pytest.approx(likely, rel=0.1)
    assert sum(waited) / len(waited) == pytest.approx(likely / (count - load), rel=0.15)
    p95 = math.log(likely / 0.05) / (count - load)
    assert quantile(sorted(waited), 0.95) == pytest.approx(p95, rel=0.15)


def test_answers_that_run_at_once_share_the_speed() -> None:
    """One alone for a second writes 10 tokens, then two write 5 each a second: it ends at 3 s, the
    other one at 4; who came third and found no slot waited from 2 to 3."""
    asked = [(0.0, 20.0), (1.0, 15.0), (2.0, 1.0), (2.5, 1.0)]
    assert waits(asked, 1, 2, lambda running: 10 / running) == pytest.approx([0, 0, 1, 0.7])


def test_the_fewest_servers_are_found() -> None:
    """One less misses the target. The same seed gives the same."""
    company = replace(COMPANY, slots=4, target_wait_s=2)
    servers, waited = model_servers(company, 5000, seed=3)
    assert servers > 1
    assert (
        quantile(waited, 0.95)
        <= 2
        < quantile(waits_of_the_busiest(company, 5000, servers - 1, seed=3), 0.95)
    )
    assert model_servers(company, 5000, seed=3) == (servers, waited)


def test_processes_follow_what_is_scarce() -> None:
    assert processes(COMPANY, 10) == 2
    hungry = replace(COMPANY, cpu_s_per_1000_tokens=1.5)
    open_pages = replace(COMPANY, open_pages_share=0.9)
    assert processes(COMPANY, 100_000) < processes(hungry, 100_000)
    assert processes(COMPANY, 100_000) < processes(open_pages, 100_000)


def test_the_document_tells_what_is_assumed() -> None:
    """Each assumption with its default, and no other."""
    told = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", DOCUMENT, re.M))
    assert told == {each.name: f"{each.default:.10g}" for each in fields(Assumptions)}


def test_the_table_of_the_document_is_what_is_printed() -> None:
    """Its columns for 1,000 and 10,000; that for 100,000 takes a second more."""
    shown = re.search(r"^\| staff \|(?:.*\n)+?\n", DOCUMENT, re.M)
    assert shown
    rows = [line.split("|")[1:4] for line in shown[0].strip().splitlines()]
    printed = [line.split("|")[1:4] for line in table(COMPANY, [1000, 10_000], 1).splitlines()]
    assert rows == printed
