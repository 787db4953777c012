"""What the scripted model server saw and sent, in memory and as JSON lines."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Sent:
    """One content token as it was written to the socket."""

    text: str
    mono: float
    wall: float


@dataclass
class RequestRecord:
    """One request and what became of it. `mono` times are time.monotonic(), `wall` time.time().

    The waits block: call them from a test's own thread, or with `asyncio.to_thread`.
    """

    number: int
    method: str
    path: str
    headers: dict[str, str]
    parameters: dict[str, Any]  # the body without the messages
    messages: list[dict[str, Any]]
    mono: float = field(default_factory=time.monotonic)
    wall: float = field(default_factory=time.time)
    sent: list[Sent] = field(default_factory=list[Sent])
    thoughts: list[Sent] = field(default_factory=list[Sent])  # tokens of reasoning
    aborted_at: float | None = None  # mono; the client went away before the end
    ended_at: float | None = None  # mono; the script came to its end
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    @property
    def sent_text(self) -> str:
        """All content tokens sent so far."""
        return "".join(sent.text for sent in self.sent)

    @property
    def sent_thoughts(self) -> str:
        """All tokens of reasoning sent so far."""
        return "".join(sent.text for sent in self.thoughts)

    def wait_aborted(self, timeout: float = 60.0) -> bool:
        """Whether the client went away within `timeout` seconds."""
        return self._wait(lambda: self.aborted_at is not None, timeout)

    def wait_ended(self, timeout: float = 60.0) -> bool:
        return self._wait(lambda: self.ended_at is not None, timeout)

    def wait_sent(self, tokens: int, timeout: float = 60.0) -> bool:
        """Whether that many tokens were sent within `timeout` seconds."""
        return self._wait(lambda: len(self.sent) >= tokens, timeout)

    def changed(self) -> None:
        """Wake those who wait; the server calls it."""
        with self._changed:
            self._changed.notify_all()

    def _wait(self, test: Callable[[], bool], timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(test, timeout)


class Journal:
    """JSON lines, flushed one by one, so that they outlive a SIGKILL of any process.

    Each has `event` (request, sent, aborted, ended), `number`, `mono`, `wall`; a request also
    `path`, `messages`, `parameters`; a sent its `text`.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1) if path else None

    def write(self, event: str, number: int, **more: object) -> None:
        if self._file is not None:
            line = {"event": event, "number": number, "mono": time.monotonic()}
            self._file.write(json.dumps(line | {"wall": time.time()} | more) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
