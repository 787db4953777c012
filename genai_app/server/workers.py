"""`serve --workers N`: a parent process that reserves the port and keeps N workers running.

Each worker listens on the same address with SO_REUSEPORT, and the kernel distributes new
connections. Workers share only the database and Redis, like processes on separate hosts. Each has a
socket pair to the parent: over it the worker reports that it serves, and asks for the metrics of
all workers. A worker whose parent has ended shuts down.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from genai_app import metrics

log = structlog.stdlib.get_logger(__name__)

PAUSE_S, MAX_PAUSE_S = 1.0, 30.0
STABLE_S = 60.0  # a worker that ran so long is restarted after the shortest pause
GATHER_S = 2.0
LINE_BYTES = 64 * 1024 * 1024

COMMAND = (sys.executable, "-m", "genai_app", "serve", "--worker")

# a line of JSON: "what" is the kind of message, "key" names a request, "text" is its result
LinkMessage = dict[str, str]


class Workers:
    """Starts the workers, restarts those that ended, and stops all of them at a signal.

    Args:
        on_serving: called once, as soon as all workers serve.
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
        self._collections: dict[str, _MetricsCollection] = {}

    async def run(self) -> int:
        """Runs until a signal, or until a worker fails at its start. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        tasks = [asyncio.create_task(self._keep_running(number)) for number in range(self._count)]
        await self._stopping.wait()
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        await asyncio.gather(*tasks)
        return self._code

    async def _keep_running(self, number: int) -> None:
        pause_s = PAUSE_S
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            code = await self._run_one(number)
            if self._stopping.is_set():
                return
            if not self._announced:  # a failed start ends the product instead of being repeated
                self._code = code or 1
                self._stopping.set()
                return
            log.warning("worker.ended", worker=number, code=code)
            ran_s = asyncio.get_running_loop().time() - began
            pause_s = PAUSE_S if ran_s > STABLE_S else min(pause_s * 2, MAX_PAUSE_S)
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
                self._handle(number, json.loads(line))
        except OSError:  # the worker was killed while it wrote
            pass
        finally:
            self._serving.discard(number)
            del self._links[number]
            writer.close()
        code = await process.wait()
        del self._processes[number]
        return code

    def _handle(self, number: int, message: LinkMessage) -> None:
        """Handles a message of a worker: it serves, asks for all metrics, or sends its own."""
        if message["what"] == "serving":
            self._serving.add(number)
            if len(self._serving) == self._count and not self._announced:
                self._announced = True
                self._on_serving()
        elif message["what"] == "ask":
            key = f"{number} {message['key']}"
            collection = _MetricsCollection(
                set(self._serving), partial(self._send_metrics, number, message["key"])
            )
            self._collections[key] = collection
            asyncio.get_running_loop().call_later(GATHER_S, self._finish, key)
            for each in collection.missing:
                _send(self._links[each], {"what": "render", "key": key})
        elif (collection := self._collections.get(message["key"])) is not None:
            collection.add(number, message["text"])
            if not collection.missing:
                self._finish(message["key"])

    def _finish(self, key: str) -> None:
        """Sends the collected metrics: all workers have answered, or GATHER_S is over."""
        if (collection := self._collections.pop(key, None)) is not None:
            collection.send(merged(collection.texts))

    def _send_metrics(self, number: int, key: str, text: str) -> None:
        if number in self._links:
            _send(self._links[number], {"what": "all", "key": key, "text": text})


class _MetricsCollection:
    """The metrics of all workers, as far as they have answered.

    Args:
        missing: the workers that have not answered yet.
        send: sends the merged text to the worker that asked.
    """

    def __init__(self, missing: set[int], send: Callable[[str], None]) -> None:
        self.missing = missing
        self.texts: dict[int, str] = {}
        self.send = send

    def add(self, number: int, text: str) -> None:
        self.missing.discard(number)
        self.texts[number] = text


class _MergedMetrics(Collector):
    def __init__(self, texts: dict[int, str]) -> None:
        self._texts = texts

    def collect(self) -> list[Metric]:
        families: dict[str, Metric] = {}
        for number, text in sorted(self._texts.items()):
            for family in text_string_to_metric_families(text):
                metric = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    labels = {**sample.labels, "worker": str(number)}
                    metric.add_sample(sample.name, labels, sample.value)
        return list(families.values())


def merged(texts: dict[int, str]) -> str:
    """Returns the metrics of several workers as one text, with the label `worker` in each
    sample."""
    return generate_latest(_MergedMetrics(texts)).decode()


class ParentLink:
    """A worker's connection to its parent.

    Args:
        fd: the file descriptor of the worker's end of the socket pair.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[str, asyncio.Future[str]] = {}

    async def listen(self, orphaned: Callable[[], None]) -> None:
        """Answers the parent until it ends, then calls `orphaned`."""
        reader, self._writer = await asyncio.open_connection(sock=self._socket, limit=LINE_BYTES)
        metrics.collect_all_by(self._collect)
        with suppress(OSError):
            async for line in reader:
                message: LinkMessage = json.loads(line)
                if message["what"] == "render":
                    text = metrics.render().decode()
                    _send(self._writer, {"what": "text", "key": message["key"], "text": text})
                elif (waiter := self._waiting.get(message["key"])) and not waiter.done():
                    waiter.set_result(message["text"])
        orphaned()

    def report_serving(self) -> None:
        """Reports to the parent that this worker accepts connections."""
        if self._writer is not None:
            _send(self._writer, {"what": "serving"})

    async def _collect(self) -> bytes:
        """Returns the metrics of all workers, or only of this one if the parent does not answer."""
        assert self._writer is not None  # `listen` sets it before it passes this method on
        key = os.urandom(8).hex()
        waiter = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            _send(self._writer, {"what": "ask", "key": key})
            async with asyncio.timeout(GATHER_S + 1):
                return (await waiter).encode()
        except TimeoutError:
            return metrics.render()
        finally:
            del self._waiting[key]


def _send(writer: asyncio.StreamWriter, message: LinkMessage) -> None:
    writer.write(json.dumps(message).encode() + b"\n")
