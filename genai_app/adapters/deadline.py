"""A movable deadline for streams, which needs one timer in all instead of one for each read."""

import asyncio
from types import TracebackType


class DeadlinePassed(Exception):
    """Raised when a block under a `Deadline` took too long and was cancelled."""


class Deadline:
    """Bounds the awaits inside `with deadline:` blocks of one coroutine, one block at a time.

    `asyncio.timeout` sets and cancels a timer around each block. Here moving the deadline to a
    later time, which a stream does at each read, is an assignment: the timer checks the deadline
    when it fires. Between blocks nothing is cancelled, so the consumer of the stream may be slow.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None  # inside a block
        self._cancels_before = 0
        self._passed = False

    def move(self, at: float) -> None:
        """Sets the deadline to the loop time `at`, earlier or later than before."""
        self._at = at
        if self._timer is not None and self._timer.when() > at:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Cancels the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task to cancel")
        self._task = task
        self._cancels_before = task.cancelling()
        self._passed = False
        if self._timer is None:
            self._timer = self._loop.call_at(self._at, self._check)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the block.

        Raises:
            DeadlinePassed: instead of the cancellation, if this deadline caused it.
        """
        task, self._task = self._task, None
        # a cancellation from outside at the same time takes precedence, as in asyncio.timeout
        if (
            self._passed
            and task is not None
            and task.uncancel() <= self._cancels_before
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise DeadlinePassed from error

    def _check(self) -> None:
        self._timer = None
        if self._task is None:
            return  # between blocks; the next one sets the timer again
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(self._at, self._check)
            return
        self._passed = True
        self._task.cancel()
