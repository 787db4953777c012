"""The product as users run it: `python -m genai_app serve`, a process of its own on a free port."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fakes.services import free_port

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0
POLL_S = 0.02


class AppProcess:
    """One server; a context manager. Port, data, secret and log file stay over a restart.

    Args:
        home: an empty directory for the data, the log and the process's working directory.
        llm_url: the model server; "" starts the demo model.
        database_url: PostgreSQL; "" means SQLite in `home`.
        workers: as `serve --workers` takes it.
        program: another installation's `genai`, in place of this source tree's.
        command: what runs in place of `serve`; see `start` then.
        within: a command that runs the product, as its last step by exec; see small_disk.py.
        settings: more settings, without the prefix: `session_ttl_s=60`.
    """

    def __init__(
        self,
        home: Path,
        *,
        llm_url: str,
        database_url: str = "",
        workers: int = 1,
        program: Path | None = None,
        command: Sequence[str] = ("serve",),
        within: Sequence[str] = (),
        **settings: object,
    ) -> None:
        self._arguments = ["--workers", str(workers)] if workers > 1 else []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data_dir = home / "data"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.log_path = home / "log"
        # as SQLAlchemy and genai_app.db.database.Database take it
        self.database_url = database_url or f"sqlite:///{self.data_dir / 'genai.sqlite3'}"
        self._home = home
        self._program = program
        self._within, self._command = within, command
        self.root = ROOT  # the folder with the package, its build and its migrations
        self._process: subprocess.Popen[bytes] | None = None
        told: dict[str, object] = {
            "port": self.port,
            "data_dir": self.data_dir,
            "admin_password": secrets.token_urlsafe(12),
            "llm_base_url": llm_url,
            "log_format": "json",
            # tests of these set their own; the others share users and may repeat a question
            "rate_limit": "100000/minute",
            "cache_scope": "off",
        }
        if database_url:
            told |= {"database_url": database_url, "secret_key": secrets.token_hex(32)}
        self.settings = {name: str(value) for name, value in (told | settings).items()}

    def start(self) -> None:
        """Returns when the process runs; `wait_ready` says when it serves."""
        dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            **({} if self._program else {"PYTHONPATH": str(self.root)}),
            "PYTHONDONTWRITEBYTECODE": "1" if self.root != ROOT else "",
            **{f"GENAI_{name.upper()}": value for name, value in self.settings.items()},
        }
        genai = [str(self._program)] if self._program else [sys.executable, "-m", "genai_app"]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*dies_with_us, *self._within, *genai, *self._command, *self._arguments],
                cwd=self._home,  # so that no .env of the developer is read
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self, timeout: float = START_TIMEOUT_S) -> None:
        """Returns when /readyz says so. RuntimeError with the end of the log when it does not."""

        def ready() -> bool:
            if not self.alive:
                raise RuntimeError(f"the product ended at its start:\n{self.log_text()[-4000:]}")
            return self._is_ready()

        if not poll(ready, timeout):
            raise RuntimeError(f"the product is not ready:\n{self.log_text()[-4000:]}")

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and wait for the orderly end. Returns the exit code."""
        return self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: it takes connections and answers nothing, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        """Process ids of what `serve --workers` started, in that order."""
        told = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in told.split()]

    def terminate(self) -> None:
        """SIGTERM without waiting."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def restart(self) -> None:
        """Start again after `kill` or `stop`, and wait until it serves."""
        self.start()
        self.wait_ready()

    def log_text(self) -> str:
        """All that every run wrote to stdout and stderr so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def cpu_s(self) -> float:
        """CPU time that the process has used, user and system."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _end(self, how: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
            raise


async def eventually(test: Callable[[], Awaitable[bool]], within_s: float = 60.0) -> None:
    """Returns when `test` comes true. For what nobody announces."""
    async with asyncio.timeout(within_s):
        while not await test():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def poll(test: Callable[[], object], timeout: float = 60.0) -> bool:
    """Whether `test` comes true within `timeout` seconds. For what nobody announces."""
    deadline = time.monotonic() + timeout
    wait = threading.Event()
    while not test():
        if time.monotonic() > deadline:
            return False
        wait.wait(POLL_S)
    return True
