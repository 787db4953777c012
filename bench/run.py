"""`make bench`: the paced model, databases and the product; everything measured, in tables.

What the figures mean stands in docs/performance.md. Each result is also a line of JSON in
bench/results/results.jsonl.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench import api, browser, pages
from bench.measure import figure
from bench.product import ROOT, Bench

RESULTS = Path(__file__).parent / "results" / "results.jsonl"
PARTS = ("streams", "idle", "start", "browser", "api")
RATE = 30.0

# mode, figure, its name in the table, the most it should be
TARGETS = (
    ("streams", "added_ms.p99", "p99 added, ms", 250),
    ("streams", "bytes_per_token", "bytes/token", 160),
    ("streams", "cpu_s_per_1k", "CPU s/1,000 tokens", 0.30),
    ("idle", "rss_mb", "RSS, MB", 250),
    ("start", "start_s", "start, s", 8),
    ("browser", "sent_kb", "first load, kB", 320),
    ("browser", "usable_ms", "composer usable, ms", 1000),
    ("browser", "first_token_ms", "Enter to first token, ms", 200),
    ("browser", "main_thread_s", "main thread, s", 4),
    ("rich browser", "main_thread_s", "main thread, s", 6),
    ("browser", "last_change_ms", "last change after end, ms", 300),
)
_BROWSER = (
    *("sent_kb", "files", "usable_ms", "answering_ms", "first_token_ms"),
    *("main_thread_s", "main_thread_cpu_s", "script_s", "last_change_ms", "status", "other_cores"),
)
COLUMNS = {
    "floor": ("added_ms.p50", "added_ms.p95", "added_ms.p99", "first_token_ms.p50", "other_cores"),
    "streams": (
        *("added_ms.p50", "added_ms.p95", "added_ms.p99", "first_token_ms.p50"),
        *("first_token_ms.p99", "delivered", "bytes_per_token", "bytes_per_token_live"),
        *("cpu_s_per_1k", "database_cpu_s_per_1k", "rss_mb", "failures", "other_cores"),
    ),
    "idle": ("rss_mb", "cpu_percent", "loop_lag_ms_p99", "lost", "other_cores"),
    "start": ("start_s",),
    "api idle": ("first_token_ms.p50", "first_token_ms.p95", "rss_mb", "failures"),
    "api streams": (
        *("added_ms.p50", "added_ms.p95", "added_ms.p99", "first_token_ms.p50", "delivered"),
        *("cpu_s_per_1k", "database_cpu_s_per_1k", "rss_mb", "failures", "other_cores"),
    ),
    "api requests": (
        *("requests_per_s", "cpu_ms", "database_cpu_ms", "redis_commands", "transactions"),
        *("ms.p50", "ms.p99"),
        *("failures", "other_cores"),
    ),
    "browser": _BROWSER,
    "rich browser": _BROWSER,
}


def main() -> int:
    """Exit code 1 when an answer was not whole; a missed target is only marked."""
    options = _options()
    about = {**_about(options.sqlite), "workers": options.workers}
    RESULTS.parent.mkdir(exist_ok=True)
    results: list[dict[str, Any]] = []
    with Bench(sqlite=options.sqlite, workers=options.workers) as bench, RESULTS.open("a") as lines:
        print(f"product: process {bench.product_pid} at {bench.url}", flush=True)

        async def measure() -> None:
            async with aclosing(_measure(bench, options)) as found:
                async for result in found:
                    results.append(result)
                    lines.write(json.dumps({**about, **result}) + "\n")
                    print(_line(result), flush=True)

        uvloop.run(measure())
        troubles = [line for line in bench.log_text().splitlines() if '"level"' in line]
    print("\n" + _about_line(about))
    if options.only != ["api"]:
        print(_table(results))
    if "api" in options.only:
        print(api.table(results))
    for line in troubles[-5:]:
        print(f"the product logged: {line[:300]}", file=sys.stderr)
    bad = [r for r in results if r.get("failures") or r.get("status", "complete") != "complete"]
    for result in bad:
        print(f"not whole: {_name(result)}: {result.get('why')}", file=sys.stderr)
    return 1 if bad else 0


async def _measure(bench: Bench, options: argparse.Namespace) -> AsyncGenerator[dict[str, Any]]:
    pace = {"rate": RATE, "ramp_s": options.ramp, "window_s": options.window}
    try:
        if "start" in options.only:  # the process of `Bench` was the first start
            yield {"mode": "start", "start_s": round(await asyncio.to_thread(bench.restart_s), 2)}
        if "idle" in options.only:
            for count in options.idle:
                yield await pages.idle(bench, count, window_s=options.window)
        if "streams" in options.only:
            for count in options.dialogs:
                yield await pages.floor(bench, count, **pace)
                yield await pages.streams(bench, count, kind=options.kind, **pace)
        if "api" in options.only:
            measured = api.measure(
                bench,
                names=options.targets,
                streams=options.api_streams,
                connections=options.connections,
                repeats=options.repeats,
                one_key=options.one_key,
                pace=pace | {"ramp_s": options.ramp / 2},
            )
            async with aclosing(measured) as found:
                async for result in found:
                    yield result
        if "browser" in options.only:
            page: dict[str, Any] = {"tokens": options.tokens, "shots": options.shots}
            for history in options.history:
                yield await browser.browse(bench, rate=RATE, history=history, **page)
            # the same with thinking and formulas in it
            rich = {"kind": "formulas", "thinking": options.tokens // 4}
            yield await browser.browse(
                bench, rate=RATE, history=options.history[-1], **page, **rich
            )
    finally:
        await bench.aclose()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description="Measure the product; see docs/performance.md."
    )
    numbers = {"type": lambda text: [int(part) for part in text.split(",")], "metavar": "N,N"}
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS))
    parser.add_argument("--dialogs", default=[10, 50, 100], help="streaming at once", **numbers)
    parser.add_argument("--idle", default=[0, 100], help="open pages that do nothing", **numbers)
    parser.add_argument("--history", default=[0, 20], help="saved answers on the page", **numbers)
    parser.add_argument("--tokens", type=int, default=1000, help="of the answer in the browser")
    parser.add_argument("--kind", default="stamps", choices=("stamps", "flat"))
    parser.add_argument("--ramp", type=float, default=10, help="seconds over which dialogs start")
    parser.add_argument("--window", type=float, default=10, help="seconds that are measured")
    names = {"type": lambda text: text.split(","), "metavar": "NAME,NAME"}
    parser.add_argument("--targets", default=list(api.TARGETS), help="of the part api", **names)
    parser.add_argument("--api-streams", default=[50, 100, 150], help="of the API", **numbers)
    parser.add_argument("--connections", type=int, default=16, help="that ask for whole answers")
    parser.add_argument("--repeats", type=int, default=100, help="requests to the idle API")
    parser.add_argument("--one-key", action="store_true", help="one user asks all of the API")
    parser.add_argument("--sqlite", action="store_true", help="in place of PostgreSQL and Redis")
    parser.add_argument("--workers", type=int, default=1, help="processes of the product")
    parser.add_argument("--shots", type=Path, help="a directory for pictures of the page")
    parser.add_argument("--quick", action="store_true", help="all parts, small, under a minute")
    options = parser.parse_args()
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if unknown := set(options.targets) - set(api.TARGETS):
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(api.TARGETS)}")
    if options.quick:
        options.dialogs, options.idle, options.history = [5], [0], [2]
        options.tokens, options.ramp, options.window = 90, 1.0, 3.0
        options.api_streams, options.repeats = [5], 10
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    return options


def _about(sqlite: bool) -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "database": "sqlite" if sqlite else "postgresql",
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _name(result: dict[str, Any]) -> str:
    sizes = {
        "idle": "pages",
        "browser": "history",
        "rich browser": "history",
        "api requests": "connections",
    }
    size = sizes.get(result["mode"], "streams" if "target" in result else "dialogs")
    return " ".join(f"{result['mode']} {result.get(size, '')} {result.get('target', '')}".split())


def _line(result: dict[str, Any]) -> str:
    figures = (f"{path} {figure(result, path)}" for path in COLUMNS[result["mode"]])
    return f"{_name(result)}: {', '.join(figures)}"


def _about_line(about: dict[str, Any]) -> str:
    names = ("database", "workers", "cpus", "commit", "at")
    return ", ".join(f"{name} {about[name]}" for name in names)


def _table(results: list[dict[str, Any]]) -> str:
    rows = [f"{'':<14}{'':<28}{'measured':>10}{'target':>9}"]
    for mode, path, words, most in TARGETS:
        for result in results:
            if result["mode"] != mode or (mode == "idle" and result["pages"]):
                continue
            value = figure(result, path)
            missed = "" if isinstance(value, int | float) and value <= most else "  missed"
            rows.append(f"{_name(result):<14}{words:<28}{value:>10}{most:>9}{missed}")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
