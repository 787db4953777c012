"""Deadlines of the blocking network calls to the directory, which run in threads."""

import contextlib
import socket
import threading
import time


class TimeIsUp(Exception):
    """Raised when the call's time is used up, or when its caller has gone."""


class TimeLimit:
    """The seconds that one call may take in all, including the wait for a thread.

    Made in the event loop, used in a thread; `abandon` ends a wait in that thread at once.
    """

    def __init__(self, total_s: float) -> None:
        self._at = time.monotonic() + total_s
        self._lock = threading.Lock()
        self._abandoned = False
        self._sockets: list[socket.socket] = []
        self.begun = False  # set by the thread that runs the call

    def left_s(self) -> float:
        """Returns the seconds that remain, more than 0.

        Raises:
            TimeIsUp: no time remains.
        """
        left = self._at - time.monotonic()
        if self._abandoned or left <= 0:
            raise TimeIsUp
        return left

    def hold(self, link: socket.socket) -> None:
        """Registers a socket that `abandon` shuts down."""
        with self._lock:
            self._sockets.append(link)
            if self._abandoned:
                self._shut_down(link)

    def release(self, link: socket.socket) -> None:
        """Unregisters a socket, before it is closed or wrapped by another."""
        with self._lock:
            if link in self._sockets:
                self._sockets.remove(link)

    def abandon(self) -> None:
        """Ends the call: nobody waits for its result any more."""
        with self._lock:
            self._abandoned = True
            for link in self._sockets:
                self._shut_down(link)

    @staticmethod
    def _shut_down(link: socket.socket) -> None:
        # not SSLSocket.shutdown: it removes the encryption first, and a thread that is about to
        # send would send in clear text
        with contextlib.suppress(OSError):
            socket.socket.shutdown(link, socket.SHUT_RDWR)


class TimedSocket:
    """A socket for ldap3 whose reads and writes end at `until`, however slowly bytes arrive."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self.until = 0.0  # time.monotonic()
        self.bytes_left = 0
        self.failure = ""  # cause of the last error, as in ControllerFailed

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
