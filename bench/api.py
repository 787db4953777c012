"""The HTTP API side by side: the model itself, a thin proxy, and the product with everything on.

One client for all three, in one run, so that what it and the machine cost is in each figure. Each
question is another one: the product's cache is asked and never answers.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

from bench.measure import figure, quantiles, rss_mb, tree
from bench.model import NAME, STAMP_BYTES, WRAP_US, Plan, now_us
from bench.pages import Answer, run
from bench.product import Bench

TARGETS = ("direct", "thin", "product")
# mode, figure, its name in the table, what the product should reach
ROWS = (
    ("api idle", "first_token_ms.p50", "first token p50, ms", "direct + 10"),
    ("api idle", "first_token_ms.p95", "first token p95, ms", ""),
    ("api idle", "rss_mb", "RSS idle, MB", ""),
    ("api streams", "added_ms.p50", "added p50, ms", ""),
    ("api streams", "added_ms.p95", "added p95, ms", ""),
    ("api streams", "added_ms.p99", "added p99, ms", "< 100 at 150"),
    ("api streams", "delivered", "delivered", ""),
    ("api streams", "cpu_s_per_1k", "CPU s/1,000 tokens", "0.20 or thin, at 100"),
    ("api streams", "database_cpu_s_per_1k", "of databases, CPU s", ""),
    ("api streams", "rss_mb", "RSS, MB", ""),
    ("api requests", "requests_per_s", "requests/s", "thin or more"),
    ("api requests", "cpu_ms", "CPU ms/request", ""),
    ("api requests", "database_cpu_ms", "of databases, CPU ms", ""),
    ("api requests", "ms.p99", "whole answer p99, ms", ""),
)
MOST_FIRST_TOKEN_MS = 10.0  # over the model's own
MOST_CPU_S = 0.20  # for 1,000 tokens; the thin proxy's own when that is more
CPU_AT = 100
MOST_P99_MS = 100.0
TOLD_LATE_S = 1.5  # what PostgreSQL counts
HELD = 150
WARM_UP = 20
FEW_TOKENS = 8
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Target:
    """A server that answers /v1/chat/completions. `keys`: one for each user; empty without."""

    name: str
    port: int
    pid: int
    keys: Sequence[str] = ()

    def key(self, number: int) -> str:
        return self.keys[number % len(self.keys)] if self.keys else ""


class Client:
    """One connection that is kept. Raw sockets: a client library would cost more than the server.

    A context manager; `stream` and `complete` one after the other.
    """

    def __init__(self, target: Target, number: int) -> None:
        key = target.key(number)
        self._port = target.port
        self._head = (
            "POST /v1/chat/completions HTTP/1.1\r\n"
            f"host: 127.0.0.1:{target.port}\r\ncontent-type: application/json\r\n"
            + (f"authorization: Bearer {key}\r\n" if key else "")
        )

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def stream(self, text: str, answer: Answer) -> None:
        """Ask, and feed what comes to `answer`; returns at the end of the stream."""
        answer.asked_at = now_us()
        self._send(text, stream=True)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{head[:60]!r} {await self._reader.read(500)!r}")
        rest = b""
        while not rest.endswith(b"0\r\n\r\n"):
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionError("the connection was closed")
            answer.bytes += len(data)
            answer.frames += 1
            answer.feed(rest + data)
            rest = (rest + data)[1 - STAMP_BYTES :]
        answer.ended = True

    async def complete(self, text: str) -> str:
        """Ask and read the whole answer at once. Returns what is wrong with it, "" for nothing."""
        self._send(text, stream=False)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        body = await self._reader.readexactly(int(length))
        if head.startswith(b"http/1.1 200") and body.count(b"~") == FEW_TOKENS:
            return ""
        return f"{head[:20]!r} {body[:200]!r}"

    def _send(self, text: str, *, stream: bool) -> None:
        told = {"model": NAME, "messages": [{"role": "user", "content": unique(text)}]}
        body = json.dumps(told | {"stream": stream})
        self._writer.write(f"{self._head}content-length: {len(body)}\r\n\r\n{body}".encode())


def unique(text: str) -> str:
    """A question that nobody has asked."""
    return f"Question {uuid.uuid4()}: {text}"


async def measure(
    bench: Bench,
    *,
    names: Sequence[str],
    streams: Sequence[int],
    connections: int,
    repeats: int,
    one_key: bool,
    pace: dict[str, float],
) -> AsyncGenerator[dict[str, Any]]:
    """One result for each measurement and target, the targets in turn.

    Args:
        names: which of TARGETS.
        streams: how many at once, for each measurement.
        connections: of clients that ask for whole answers.
        repeats: requests of the idle measurement.
        one_key: all are one user, in place of a user for each stream.
    """
    users = 1 if one_key else max(*streams, connections, 1)
    found = [await _target(bench, name, users) for name in names]
    for target in found:
        yield {"mode": "api idle", "target": target.name, **await idle(target, repeats)}
    for count in streams:
        for target in found:
            result = await together(bench, target, count, pace)
            yield {**result, "target": target.name, "streams": count}
    for target in found:
        result = await requests(bench, target, connections, pace["window_s"])
        yield {"mode": "api requests", "target": target.name, **result}


async def _target(bench: Bench, name: str, users: int) -> Target:
    if name == "direct":
        return Target(name, bench.model_port, bench.model_pid)
    if name == "thin":
        return Target(name, *bench.start_thin())
    return Target(name, bench.port, bench.product_pid, await bench.keys(users))


async def idle(target: Target, repeats: int) -> dict[str, Any]:
    """Time to the first token of one client that asks again and again, nobody else there."""
    plan = Plan(FEW_TOKENS)
    times: list[float] = []
    failures: list[str] = []
    async with Client(target, 0) as client:
        for number in range(WARM_UP + repeats):
            answer = Answer(plan.tokens)
            async with asyncio.timeout(TIMEOUT_S):
                await client.stream(plan.directive(), answer)
            if answer.failure:
                failures.append(answer.failure)
            elif number >= WARM_UP:
                times.append((answer.first_at - answer.asked_at) % WRAP_US / 1000)
    return {
        "first_token_ms": quantiles(times),
        "rss_mb": round(rss_mb(tree(target.pid))),
        "failures": len(failures),
        "why": sorted(set(failures))[:5],
    }


async def together(
    bench: Bench, target: Target, count: int, pace: dict[str, float]
) -> dict[str, Any]:
    """`count` streams, each on a connection of its own."""
    async with _clients(target, count) as clients:
        return await run(
            bench,
            [client.stream for client in clients],
            pace["rate"],
            pace["ramp_s"],
            pace["window_s"],
            mode="api streams",
            pid=target.pid,
        )


async def requests(
    bench: Bench, target: Target, connections: int, window_s: float
) -> dict[str, Any]:
    """Whole answers of a model that does not wait, on so many connections at once."""
    loop = asyncio.get_running_loop()
    failures: list[str] = []
    times: list[float] = []
    text = Plan(FEW_TOKENS).directive()

    async def ask(client: Client, until: Callable[[], bool]) -> None:
        while not until():
            begin = loop.time()
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    trouble = await client.complete(text)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                failures.append(f"{type(error).__name__}: {error}")
                return
            if trouble:
                failures.append(trouble)
            times.append((loop.time() - begin) * 1000)

    async def all_until(moment: float) -> None:
        asks: list[Awaitable[None]] = [
            ask(client, lambda: loop.time() > moment) for client in clients
        ]
        await asyncio.gather(*asks)

    async with _clients(target, connections) as clients:
        await all_until(loop.time() + min(1.0, window_s))
        times.clear()
        before = await bench.operations()
        meter = bench.meter(target.pid)
        await all_until(loop.time() + window_s)
        cost = meter.read()
        await asyncio.sleep(TOLD_LATE_S)
        after = await bench.operations()
    done = max(1, len(times))
    return {
        "connections": connections,
        "requests_per_s": round(len(times) / cost.wall_s, 1),
        "cpu_ms": round(cost.product_s * 1000 / done, 2),
        "database_cpu_ms": round(cost.database_s * 1000 / done, 2),
        "redis_commands": round((after[0] - before[0]) / done, 1),
        "transactions": round((after[1] - before[1]) / done, 1),
        "ms": quantiles(times),
        "rss_mb": round(rss_mb(tree(target.pid))),
        "failures": len(failures),
        "why": sorted(set(failures))[:5],
        **asdict(cost),
    }


@asynccontextmanager
async def _clients(target: Target, count: int) -> AsyncGenerator[list[Client]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Client(target, number)) for number in range(count)]


def table(results: Sequence[dict[str, Any]]) -> str:
    """The targets side by side, what the product adds to the model and how it is to the proxy."""
    rows = [f"{'':<31}" + "".join(f"{name:>10}" for name in TARGETS) + "  -direct   /thin  target"]
    for mode, path, words, wanted in ROWS:
        sizes = sorted({result.get("streams", 0) for result in results if result["mode"] == mode})
        for size in sizes:
            values = [_value(results, mode, name, size, path) for name in TARGETS]
            if all(value is None for value in values):
                continue
            direct, thin, product = values
            added = "-" if product is None or direct is None else f"{product - direct:.3g}"
            ratio = f"{product / thin:.2f}" if product is not None and thin else "-"
            cells = "".join(f"{'-' if value is None else value:>10}" for value in values)
            mark = "  missed" if missed(path, size, values) else ""
            name = f"{words} ({size})" if size else words
            rows.append(f"{name:<31}{cells}{added:>9}{ratio:>8}  {wanted}{mark}")
    return "\n".join(rows)


def missed(path: str, size: int, values: Sequence[float | None]) -> bool:
    """Whether the product is worse than its target; what was not measured misses nothing."""
    direct, thin, product = values
    if product is None:
        return False
    if path == "first_token_ms.p50":
        return direct is not None and product > direct + MOST_FIRST_TOKEN_MS
    if path == "cpu_s_per_1k":
        return size == CPU_AT and product > max(MOST_CPU_S, thin or 0.0)
    if path == "added_ms.p99":
        return size <= HELD and product >= MOST_P99_MS
    return path == "requests_per_s" and thin is not None and product < thin


def _value(
    results: Sequence[dict[str, Any]], mode: str, name: str, size: int, path: str
) -> float | None:
    for result in results:
        if (result["mode"], result.get("target"), result.get("streams", 0)) == (mode, name, size):
            value = figure(result, path)
            return value if isinstance(value, int | float) else None
    return None
