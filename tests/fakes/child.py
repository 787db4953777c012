"""A server process of the tests that dies with them, whose output is read."""

import collections
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
# `--pdeathsig` kills a child when the thread that started it ends: this one never does
_STARTER = ThreadPoolExecutor(1)


class Child:
    """Starts a command, waits until it says it is ready.

    Raises:
        RuntimeError: it ended, or said nothing of the kind; the text is the end of its output.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        ready: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._output: collections.deque[str] = collections.deque(maxlen=200)
        self._is_ready = threading.Event()
        self._process = _STARTER.submit(
            subprocess.Popen[str],
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            cwd=cwd,
            env={"PATH": search_path(), "LC_ALL": "C.UTF-8", **(env or {})},
            stdin=subprocess.PIPE,  # some end when it closes
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ).result()
        threading.Thread(target=self._listen, args=(ready,), daemon=True).start()
        if not self._is_ready.wait(START_TIMEOUT_S) or not self.alive:
            self.end()
            raise RuntimeError(f"{command[0]} did not start:\n" + "".join(self._output))

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """The last lines it wrote."""
        return "".join(self._output)

    def freeze(self) -> None:
        """It takes connections and answers nothing, until `thaw`."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill it; what it keeps is thrown away anyway."""
        if self.alive:
            self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)
        if self._process.stdin:
            self._process.stdin.close()

    def _listen(self, ready: str) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._output.append(line)
                if ready in line:
                    self._is_ready.set()
        self._is_ready.set()  # it ended: whoever waits looks whether it lives


def search_path() -> str:
    """PATH with the folders of servers, which a user's often lacks."""
    return f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"


def find_program(name: str, packages: str) -> str:
    """Where a program is.

    Raises:
        RuntimeError: nowhere; names the packages to install.
    """
    found = shutil.which(name, path=search_path())
    if found is None:
        raise RuntimeError(f"the tests need {name}: apt-get install {packages}")
    return found
