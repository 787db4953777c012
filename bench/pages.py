"""Many pages over their real protocol, without a browser: what the server costs and adds.

Each page is a user of its own with a session, a client token and a dialog of its own. It sends what
the browser sends and reads what the browser would read. The model stamps each token, so a token's
delay is its arrival here minus its departure there; one that is sent again is not counted again.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from array import array
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp

from bench.measure import Cost, lag_p99_ms, loop_lags, quantiles, rss_mb, tree
from bench.model import STAMP, STAMP_BYTES, WRAP_US, Plan, now_us
from bench.product import PASSWORD, Bench

ROOT = "reflex___state____state"
HYDRATE = f"{ROOT}.hydrate_and_load"
ON_LOAD = f"{ROOT}.reflex___state____on_load_internal_state.on_load_internal"
SEND = (
    f"{ROOT}.genai_app___state___chat___dialog____chat_state"
    ".genai_app___state___chat___conversation____conversation_state.send"
)
NAMESPACE = "/_event,"
ROUTE = "/[[section]]/[[dialog]]"
READY_S = 30.0
LATE_S = 20.0
SETTLE_S = 2.0


@dataclass(slots=True)
class Answer:
    """What came of one question. Times in microseconds of the stamps' clock."""

    expected: int
    asked_at: int = 0
    first_at: int = 0
    tokens: int = 0
    frames: int = 0
    bytes: int = 0
    hand_over_bytes: int = 0  # of them in the frame that replaces the growing answer by the saved
    ended: bool = False
    error: str = ""
    arrivals: array[int] = field(default_factory=lambda: array("q"))
    delays: array[int] = field(default_factory=lambda: array("q"))
    _last: int = -1

    def feed(self, data: bytes) -> None:
        """Count the stamps in `data` that are later than all before."""
        now = now_us()
        for found in STAMP.findall(data):
            sent = int(found, 36)
            if self._last < 0 or 0 < (sent - self._last) % WRAP_US < WRAP_US // 2:
                self._last = sent
                self.tokens += 1
                self.arrivals.append(now)
                self.delays.append((now - sent) % WRAP_US)
        if self.tokens and not self.first_at:
            self.first_at = now

    @property
    def failure(self) -> str:
        """Why it is no whole answer; "" when it is one."""
        if self.error or not self.ended:
            return self.error or "did not end in time"
        return "" if self.tokens == self.expected else f"{self.tokens} of {self.expected} tokens"


# Sends a question and feeds what comes to the answer; returns at its end.
Ask = Callable[[str, Answer], Awaitable[None]]


class Page:
    """One open page: its socket and its address."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._path = "/"

    async def hydrate(self) -> None:
        """Connect as a page does at its first load; returns when the page is drawn."""
        await self._receive()  # the transport's greeting
        event = {"name": HYDRATE, "payload": {"hashes": []}, "router_data": self._router()}
        await self._socket.send_str(f"40{NAMESPACE}{json.dumps({'event': event})}")
        async with asyncio.timeout(READY_S):
            while '"is_hydrated_rx_state_":true' not in await self._receive():
                pass

    async def ask(self, text: str, answer: Answer) -> None:
        """Send a question and read until the saved answer stands in the dialog."""
        payload = {"text": text, "length": len(text), "send_id": str(uuid.uuid4())}
        answer.asked_at = now_us()
        await self._emit(SEND, payload)
        while not answer.ended:
            packet = await self._receive()
            data = packet.encode()
            answer.frames += 1
            answer.bytes += len(data)
            answer.feed(data)
            if '"_redirect"' in packet:
                await self._follow_redirect(packet)
            elif '"messages_rx_state_"' in packet and '"status":"running"' not in packet:
                answer.ended = '"status":"complete"' in packet
                answer.hand_over_bytes = len(data)

    async def idle(self) -> None:
        """Answer the transport's pings until cancelled."""
        while True:
            await self._receive()

    async def _follow_redirect(self, packet: str) -> None:
        """A new dialog gets an address; the browser goes there and says so."""
        update = json.loads(packet[packet.index("[") :])[1]
        for event in update["events"]:
            if event["name"] == "_redirect":
                self._path = event["payload"]["path"]
                await self._emit(ON_LOAD, {})

    async def _emit(self, name: str, payload: dict[str, object]) -> None:
        event = {"name": name, "payload": payload, "router_data": self._router()}
        await self._socket.send_str(f"42{NAMESPACE}{json.dumps(['event', event])}")

    async def _receive(self) -> str:
        """The next packet that is no ping."""
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionError(f"the socket was closed: {message.data} {message.extra}")
            if message.data != "2":
                return message.data
            await self._socket.send_str("3")

    def _router(self) -> dict[str, str]:
        return {"pathname": ROUTE, "asPath": self._path}


async def log_in(http: aiohttp.ClientSession, url: str, username: str) -> str:
    """The Cookie header of a new session."""
    form = {"username": username, "password": PASSWORD}
    async with http.post(
        f"{url}/login", data=form, headers={"Origin": url}, allow_redirects=False
    ) as answer:
        morsel = answer.cookies.get("genai_session")
        if morsel is None:
            raise RuntimeError(f"login of {username}: {answer.status} {answer.headers}")
        return f"genai_session={morsel.value}"


@asynccontextmanager
async def open_pages(
    bench: Bench, count: int, opened: Callable[[Page], object] = lambda _: None
) -> AsyncGenerator[list[Page]]:
    """`count` drawn pages, each of another user. `opened` is told of each, while others wait."""
    users = await bench.users(count)
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0)
        jar = aiohttp.DummyCookieJar()
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, cookie_jar=jar)
        )

        async def open_page(username: str) -> Page:
            cookie = await log_in(http, bench.url, username)
            address = f"{bench.url}/_event/?EIO=4&transport=websocket&token={uuid.uuid4()}"
            headers = {"Cookie": cookie, "Origin": bench.url}
            socket = await http.ws_connect(address, headers=headers, max_msg_size=0)
            stack.push_async_callback(socket.close)
            page = Page(socket)
            await page.hydrate()
            opened(page)
            return page

        pages: list[Page] = []
        for begin in range(0, count, 10):  # a hundred logins at once would measure argon2
            some = await asyncio.gather(*map(open_page, users[begin : begin + 10]))
            pages += some
        yield pages


async def streams(
    bench: Bench,
    count: int,
    *,
    rate: float,
    ramp_s: float,
    window_s: float,
    kind: str = "stamps",
) -> dict[str, Any]:
    """`count` dialogs at `rate` tokens/s each, measured for `window_s` seconds while all run."""
    async with open_pages(bench, count) as pages:
        return await run(
            bench, [page.ask for page in pages], rate, ramp_s, window_s, kind, mode="streams"
        )


async def floor(
    bench: Bench, count: int, *, rate: float, ramp_s: float, window_s: float
) -> dict[str, Any]:
    """The same, read from the model itself: what this machine and this client add."""
    reads = [_read_model(bench.model_port)] * count
    return await run(bench, reads, rate, ramp_s, window_s, "stamps", mode="floor")


async def run(
    bench: Bench,
    asks: Sequence[Ask],
    rate: float,
    ramp_s: float,
    window_s: float,
    kind: str = "stamps",
    *,
    mode: str,
    pid: int = 0,
) -> dict[str, Any]:
    """All the `asks` at once, whatever they talk to. `pid`: the server that is measured, when it
    is not the product."""
    pid = pid or bench.product_pid
    loop, count = asyncio.get_running_loop(), len(asks)
    begin = loop.time()
    starts = [ramp_s * number / count for number in range(count)]
    # all end together, a little after the window
    answers = [Answer(int((ramp_s - start + window_s + 1.5) * rate)) for start in starts]

    async def one(number: int) -> None:
        answer = answers[number]
        text = Plan(answer.expected, rate, kind).directive()
        await asyncio.sleep(begin + starts[number] - loop.time())
        try:
            async with asyncio.timeout(answer.expected / rate + LATE_S):
                await asks[number](text, answer)
        except TimeoutError:
            answer.error = "timeout"
        except (OSError, EOFError, RuntimeError, ValueError) as error:
            answer.error = f"{type(error).__name__}: {error}"

    tasks = [asyncio.create_task(one(number)) for number in range(count)]
    await asyncio.sleep(begin + ramp_s + 1.0 - loop.time())
    meter, opened = bench.meter(pid), now_us()
    await asyncio.sleep(window_s)
    cost, closed = meter.read(), now_us()
    memory = rss_mb(tree(pid))
    await asyncio.gather(*tasks)
    result = _summary(answers, opened, closed, cost, rate)
    return {"mode": mode, "dialogs": count, "kind": kind, "rss_mb": round(memory), **result}


def _summary(
    answers: Sequence[Answer], opened: int, closed: int, cost: Cost, rate: float
) -> dict[str, Any]:
    delays = [
        delay / 1000
        for answer in answers
        for arrival, delay in zip(answer.arrivals, answer.delays, strict=True)
        if (arrival - opened) % WRAP_US < (closed - opened) % WRAP_US
    ]
    first = [((a.first_at - a.asked_at) % WRAP_US) / 1000 for a in answers if a.first_at]
    whole = [answer for answer in answers if answer.ended]
    tokens = max(1, sum(answer.expected for answer in whole))
    received = sum(answer.bytes for answer in whole)
    handed = sum(answer.hand_over_bytes for answer in whole)
    due = len(answers) * rate * cost.wall_s
    failures = [answer.failure for answer in answers if answer.failure]
    return {
        "rate": rate,
        "added_ms": quantiles(delays),
        "first_token_ms": quantiles(first),
        "delivered": round(len(delays) / due, 3),
        "tokens_per_answer": round(tokens / max(1, len(whole))),
        "bytes_per_token": round(received / tokens, 1),
        "bytes_per_token_live": round((received - handed) / tokens, 1),
        "frames_per_token": round(sum(answer.frames for answer in whole) / tokens, 2),
        "text_bytes_per_token": STAMP_BYTES,
        "cpu_s_per_1k": round(cost.product_s * 1000 / max(1, len(delays)), 4),
        "database_cpu_s_per_1k": round(cost.database_s * 1000 / max(1, len(delays)), 4),
        "failures": len(failures),
        "why": sorted(set(failures))[:5],
        **asdict(cost),
    }


def _read_model(port: int) -> Ask:
    """Asks the model itself."""

    async def read(text: str, answer: Answer) -> None:
        body = json.dumps({"messages": [{"role": "user", "content": text}], "stream": True})
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer.asked_at = now_us()
        head = f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(f"{head}{body}".encode())
        rest = b""
        try:
            while not rest.endswith(b"0\r\n\r\n"):
                data = await reader.read(65536)
                if not data:
                    raise ConnectionError("the model closed the connection")
                answer.bytes += len(data)
                answer.frames += 1
                answer.feed(rest + data)
                rest = (rest + data)[1 - STAMP_BYTES :]
            answer.ended = True
        finally:
            writer.close()

    return read


async def idle(bench: Bench, count: int, *, window_s: float) -> dict[str, Any]:
    """Memory and CPU of the process with `count` pages open and nobody doing anything."""
    readers: list[asyncio.Task[None]] = []

    def read(page: Page) -> None:
        readers.append(asyncio.create_task(page.idle()))

    async with open_pages(bench, count, read):
        await asyncio.sleep(SETTLE_S)
        before = await loop_lags(bench.url)
        meter = bench.meter()
        await asyncio.sleep(window_s)
        cost = meter.read()
        lag_ms = lag_p99_ms(before, await loop_lags(bench.url))
        memory = rss_mb(tree(bench.product_pid))
        lost = sum(reader.done() for reader in readers)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    return {
        "mode": "idle",
        "pages": count,
        "rss_mb": round(memory),
        "cpu_percent": round(100 * cost.product_s / cost.wall_s, 2),
        "loop_lag_ms_p99": lag_ms,
        "lost": lost,
        **asdict(cost),
    }
