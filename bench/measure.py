"""What processes cost, read from /proc, and what a list of delays comes to."""

import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


def tree(root: int) -> list[int]:
    """`root` and its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:  # grows as it is walked
        found += children.get(pid, [])
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """User and system time of the processes and of their children that ended."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _stat(pid))) * TICK_S


def rss_mb(pids: Iterable[int]) -> float:
    """Resident memory; pages that processes share count for each."""
    return sum(int(fields[21]) for pid in pids if (fields := _stat(pid))) * PAGE_MB


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """p50, p95, p99 and the largest; empty for nothing."""
    ordered = sorted(values)
    if not ordered:
        return {}
    last = len(ordered) - 1
    chosen = {f"p{part}": ordered[round(last * part / 100)] for part in (50, 95, 99)}
    return {name: round(value, 1) for name, value in {**chosen, "max": ordered[-1]}.items()}


def figure(result: Mapping[str, Any], path: str) -> Any:
    """The figure of a result under `added_ms.p99`; "-" when it has none."""
    value: Any = result
    for part in path.split("."):
        value = value.get(part, "-") if isinstance(value, Mapping) else "-"
    return value


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds between two moments. `other_cores`: what the rest of the machine used."""

    wall_s: float
    product_s: float
    database_s: float
    bench_s: float
    other_cores: float


class Meter:
    """Reads the clocks when made and again at `read()`.

    The product and its databases are children of this process; its other children, the model and
    the browser, count as the bench.

    Args:
        product: the process that is measured.
        databases: those that it has for itself.
    """

    def __init__(self, product: int, *databases: int) -> None:
        self._product = product
        self._databases = databases
        self._start = self._sample()

    def read(self) -> Cost:
        spent = [b - a for a, b in zip(self._start, self._sample(), strict=True)]
        wall, busy, product, database, bench = spent
        others = max(0.0, busy - product - database - bench) / wall
        return Cost(*(round(figure, 3) for figure in (wall, product, database, bench, others)))

    def _sample(self) -> Sequence[float]:
        product = tree(self._product)
        database = [pid for root in self._databases for pid in tree(root)]
        helpers = {*tree(os.getpid())} - {os.getpid(), *product, *database}
        bench = sum(os.times()[:2]) + cpu_s(helpers)
        return time.monotonic(), _busy_s(), cpu_s(product), cpu_s(database), bench


def _busy_s() -> float:
    """What all CPUs have worked since the machine started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]]
    return (sum(fields) - fields[3] - fields[4]) * TICK_S  # without idle and waiting for disks


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on (field 3 is [0]); empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


async def loop_lags(url: str) -> Counter[float]:
    """How often the product's event loop was at most so many seconds late, by its own metrics."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        text = await answer.text()
    found: Counter[float] = Counter()
    pattern = r'genai_event_loop_lag_seconds_bucket\{.*?le="([^"]+)".*?\} (\S+)'
    for bound, count in re.findall(pattern, text):
        found[float(bound)] += int(float(count))
    return found


def lag_most_ms(before: Counter[float], after: Counter[float]) -> float:
    """The bound that all of the times between stayed under, in milliseconds."""
    return _lag_ms(before, after, 1.0)


def lag_p99_ms(before: Counter[float], after: Counter[float]) -> float:
    """The bound that 99 of 100 of the times between stayed under, in milliseconds."""
    return _lag_ms(before, after, 0.99)


def _lag_ms(before: Counter[float], after: Counter[float], part: float) -> float:
    times = {bound: after[bound] - before[bound] for bound in after}
    most = max(times.values())
    return next(bound * 1000 for bound in sorted(times) if times[bound] >= part * most)
