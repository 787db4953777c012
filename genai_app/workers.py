"""`serve --workers N`: a parent that holds the port and keeps N processes serving it.

Each worker listens at the same address by SO_REUSEPORT, and the kernel deals new connections out
among them. They share nothing but the database and Redis, as processes on separate hosts do. To its
parent each has a link, a pair of sockets: the worker says that it serves, whoever is asked for the
metrics gets those of all, and a worker whose parent is gone ends in order.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import structlog
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from genai_app import metrics

log = structlog.stdlib.get_logger(__name__)

PAUSE_S, MOST_PAUSE_S = 1.0, 30.0
SERVED_S = 60.0  # who served that long may begin anew at once
GATHER_S = 2.0
LINE_BYTES = 64 * 1024 * 1024

COMMAND = (sys.executable, "-m", "genai_app", "serve", "--worker")

Said = dict[str, str]


def listening_socket(host: str, port: int) -> socket.socket:
    """Bound to an address that other workers are bound to as well."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((host, port))
    bound.setblocking(False)
    return bound


# --- the parent -------------------------------------------------------------------------------


class Workers:
    """Starts workers, starts again what died, ends all in order.

    Args:
        on_serving: called once, when all of them serve.
    """

    def __init__(self, count: int, on_serving: Callable[[], None]) -> None:
        self._count = count
        self._on_serving = on_serving
        self._links: dict[int, asyncio.StreamWriter] = {}
        self._serving: set[int] = set()
        self._announced = False
        self._stopping = asyncio.Event()
        self._code = 0
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._gathers: dict[str, _Gather] = {}

    async def run(self) -> int:
        """Until a signal ends it, or a worker cannot begin to serve. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        kept = [asyncio.create_task(self._keep(number)) for number in range(self._count)]
        await self._stopping.wait()
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        await asyncio.gather(*kept)
        return self._code

    async def _keep(self, number: int) -> None:
        pause_s = PAUSE_S
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            code = await self._run_one(number)
            if self._stopping.is_set():
                return
            if not self._announced:  # a start that fails is told, not tried for ever
                self._code = code or 1
                self._stopping.set()
                return
            log.warning("worker.ended", worker=number, code=code)
            lived_s = asyncio.get_running_loop().time() - began
            pause_s = PAUSE_S if lived_s > SERVED_S else min(pause_s * 2, MOST_PAUSE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()

    async def _run_one(self, number: int) -> int:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *COMMAND, str(theirs.fileno()), pass_fds=(theirs.fileno(),)
            )
        self._processes[number] = process
        if self._stopping.is_set():
            process.terminate()
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_BYTES)
        self._links[number] = writer
        try:
            async for line in reader:
                self._heard(number, json.loads(line))
        except OSError:  # it was killed in mid sentence
            pass
        finally:
            self._serving.discard(number)
            del self._links[number]
            writer.close()
        code = await process.wait()
        del self._processes[number]
        return code

    def _heard(self, number: int, said: Said) -> None:
        if said["what"] == "serving":
            self._serving.add(number)
            if len(self._serving) == self._count and not self._announced:
                self._announced = True
                self._on_serving()
        elif said["what"] == "ask":
            key = f"{number} {said['key']}"
            gather = _Gather(set(self._serving), lambda text: self._tell(number, said, text))
            self._gathers[key] = gather
            asyncio.get_running_loop().call_later(GATHER_S, self._gathered, key)
            for each in gather.missing:
                _say(self._links[each], {"what": "render", "key": key})
        elif (gather := self._gathers.get(said["key"])) is not None:
            gather.take(number, said["text"])
            if not gather.missing:
                self._gathered(said["key"])

    def _gathered(self, key: str) -> None:
        """All have answered, or the time for it is over."""
        if (gather := self._gathers.pop(key, None)) is not None:
            gather.tell(merged(gather.texts))

    def _tell(self, number: int, said: Said, text: str) -> None:
        if number in self._links:
            _say(self._links[number], {"what": "all", "key": said["key"], "text": text})


class _Gather:
    """The metrics of all workers, as they come in."""

    def __init__(self, asked: set[int], tell: Callable[[str], None]) -> None:
        self.missing = asked
        self.texts: dict[int, str] = {}
        self.tell = tell

    def take(self, number: int, text: str) -> None:
        self.missing.discard(number)
        self.texts[number] = text


class _Merged(Collector):
    def __init__(self, texts: dict[int, str]) -> None:
        self._texts = texts

    def collect(self) -> list[Metric]:
        found: dict[str, Metric] = {}
        for number, text in sorted(self._texts.items()):
            for family in text_string_to_metric_families(text):
                metric = found.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    labels = {**sample.labels, "worker": str(number)}
                    metric.add_sample(sample.name, labels, sample.value)
        return list(found.values())


def merged(texts: dict[int, str]) -> str:
    """One text of the metrics of several processes, told apart by the label `worker`."""
    return generate_latest(_Merged(texts)).decode()


# --- a worker ---------------------------------------------------------------------------------


class Link:
    """A worker's way to its parent.

    Args:
        fd: the worker's end.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[str, asyncio.Future[str]] = {}

    async def listen(self, orphaned: Callable[[], None]) -> None:
        """Answer the parent until it is gone; then `orphaned` is called."""
        reader, self._writer = await asyncio.open_connection(sock=self._socket, limit=LINE_BYTES)
        metrics.ask_all_by(self._gather)
        with suppress(OSError):
            async for line in reader:
                said: Said = json.loads(line)
                if said["what"] == "render":
                    text = metrics.render().decode()
                    _say(self._writer, {"what": "text", "key": said["key"], "text": text})
                elif (waiter := self._waiting.get(said["key"])) and not waiter.done():
                    waiter.set_result(said["text"])
        orphaned()

    def serving(self) -> None:
        """Tell the parent that connections are taken."""
        if self._writer is not None:
            _say(self._writer, {"what": "serving"})

    async def _gather(self) -> bytes:
        """The metrics of all workers; of this one alone if the parent keeps silent."""
        assert self._writer is not None  # set before this function is handed out
        key = os.urandom(8).hex()
        waiter = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            _say(self._writer, {"what": "ask", "key": key})
            async with asyncio.timeout(GATHER_S + 1):
                return (await waiter).encode()
        except TimeoutError:
            return metrics.render()
        finally:
            del self._waiting[key]


def _say(writer: asyncio.StreamWriter, said: Said) -> None:
    writer.write(json.dumps(said).encode() + b"\n")
