"""How long a call to the directory may take, in the threads that its network calls block."""

import contextlib
import socket
import threading
import time


class TimeIsUp(Exception):
    """The call's time is used up, or nobody waits for it any more."""


class TimeLimit:
    """The seconds that one call may take in all, waiting for a thread included.

    Made in the event loop, used in a thread; `abandon` ends a wait in that thread at once.
    """

    def __init__(self, total_s: float) -> None:
        self._at = time.monotonic() + total_s
        self._lock = threading.Lock()
        self._abandoned = False
        self._sockets: list[socket.socket] = []
        self.begun = False  # a thread took it up

    def left_s(self) -> float:
        """Seconds that remain, more than 0.

        Raises:
            TimeIsUp: none do.
        """
        left = self._at - time.monotonic()
        if self._abandoned or left <= 0:
            raise TimeIsUp
        return left

    def hold(self, link: socket.socket) -> None:
        """Have `link` cut when the call is abandoned."""
        with self._lock:
            self._sockets.append(link)
            if self._abandoned:
                self._cut(link)

    def let_go(self, link: socket.socket) -> None:
        """`link` is about to be closed, or another took its place."""
        with self._lock:
            if link in self._sockets:
                self._sockets.remove(link)

    def abandon(self) -> None:
        """The caller has gone."""
        with self._lock:
            self._abandoned = True
            for link in self._sockets:
                self._cut(link)

    @staticmethod
    def _cut(link: socket.socket) -> None:
        # not SSLSocket's own shutdown: it first takes the encryption away, and a thread that is
        # about to send would send in clear text
        with contextlib.suppress(OSError):
            socket.socket.shutdown(link, socket.SHUT_RDWR)


class TimedSocket:
    """A socket as ldap3 uses it, whose waits end at one moment, however slowly bytes come."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self.until = 0.0
        self.bytes_left = 0
        self.failure = ""

    def recv(self, size: int) -> bytes:
        self._link.settimeout(self._wait_s())
        try:
            data = self._link.recv(size)
        except TimeoutError:
            self.failure = "timeout"
            raise
        except OSError as error:
            self.failure = f"closed: {type(error).__name__}"
            raise
        self.bytes_left -= len(data)
        if not data:
            self.failure = "closed"
        elif self.bytes_left < 0:
            self.failure = "garbled: an endless answer"
            raise OSError(self.failure)
        return data

    def sendall(self, data: bytes) -> None:
        self._link.settimeout(self._wait_s())
        try:
            self._link.sendall(data)
        except TimeoutError:
            self.failure = "timeout"
            raise
        except OSError as error:
            self.failure = f"closed: {type(error).__name__}"
            raise

    def shutdown(self, how: int) -> None:
        self._link.shutdown(how)

    def close(self) -> None:
        self._link.close()

    def _wait_s(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            self.failure = "timeout"
            raise TimeoutError
        return left
