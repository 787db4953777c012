"""Real servers for tests: on free loopback ports, stopped and broken at will, gone afterwards."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import psycopg2

from tests.fakes.certificates import Certificate

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
WARY = "wary"  # the one role that PostgreSQL asks for a password, if a test makes it


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class PostgresServer:
    """A throwaway PostgreSQL cluster; the same port and data over stop and start.

    Raises:
        RuntimeError: PostgreSQL is not installed, or does not start; the text says which.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._bin = _find_postgres()
        self._root = Path(tempfile.mkdtemp(prefix="genai-postgres-"))
        self._process: subprocess.Popen[str] | None = None
        self._output: list[str] = []
        self.options: dict[str, str] = {}  # more of them, at the next start
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self._root, "postgres", "postgres")
        try:
            self._run(
                "initdb",
                *("-D", str(self._root / "data"), "-U", "postgres", "-A", "trust"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
            )
            rules = self._root / "data" / "pg_hba.conf"
            rules.write_text(f"host all {WARY} 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        except BaseException:
            shutil.rmtree(self._root)
            raise

    @property
    def folder(self) -> Path:
        """Its own, beside the data; the server's user may read it."""
        return self._root

    def url(self, database: str = "postgres") -> str:
        """The address as GENAI_DATABASE_URL takes it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Returns when connections are accepted."""
        ready = threading.Event()  # of this start: the thread of the one before may still end
        self._output.clear()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._root),
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "lc_messages": "C",
            **self.options,
        }
        self._process = subprocess.Popen(
            [
                *self._as_owner("--pdeathsig", "INT"),
                *(str(self._bin / "postgres"), "-D", str(self._root / "data")),
                *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
            ],
            cwd=self._root,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        listening = (self._process, ready)
        threading.Thread(target=self._listen, args=listening, daemon=True).start()
        if not ready.wait(START_TIMEOUT_S) or self._process.poll() is not None:
            raise RuntimeError("PostgreSQL did not start:\n" + "".join(self._output[-20:]))

    def stop(self) -> None:
        """Orderly, without waiting for clients: they are disconnected."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As in a crash: nothing is flushed, the next start recovers from the log."""
        self._end(signal.SIGQUIT)

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        shutil.rmtree(self._root)

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """A new database, a copy of `template`. Returns its address.

        By copying its files, as before PostgreSQL 15: without fsync that is four times faster than
        writing each block to the log.
        """
        version = int((self._root / "data" / "PG_VERSION").read_text())
        strategy = "STRATEGY FILE_COPY" if version >= 15 else ""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {strategy}')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Also when somebody is connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        """One statement, as the superuser."""
        connection = psycopg2.connect(self.url())
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def _listen(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                self._output.append(line)
                if "database system is ready to accept connections" in line:
                    ready.set()
        ready.set()  # it ended: start() looks whether it lives

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(STOP_TIMEOUT_S)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_owner(), str(self._bin / program), *arguments],
            cwd=self._root,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S * 2,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stderr}")

    def _as_owner(self, *options: str) -> list[str]:
        if os.geteuid() == 0:
            options = ("--reuid=postgres", "--regid=postgres", "--init-groups", *options)
        return ["setpriv", *options, "--"] if options else []


class RedisServer:
    """A throwaway Redis without persistence; the same port over stop and start, empty after each.
    `arguments`: a configuration file and options, before our own. `tls`: it speaks nothing else.

    Raises:
        RuntimeError: Redis is not installed, or does not start; the text says which.
    """

    def __init__(self, *arguments: str, tls: Certificate | None = None) -> None:
        found = shutil.which("redis-server")
        if found is None:
            raise RuntimeError("the tests need Redis 6.2 or later: apt-get install redis-server")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [found, *arguments]
        self._tls = tls
        self._root = Path(tempfile.mkdtemp(prefix="genai-redis-"))
        self._process: subprocess.Popen[str] | None = None
        self._output: list[str] = []

    def start(self) -> None:
        """Returns when connections are accepted."""
        ready = threading.Event()  # of this start: the thread of the one before may still end
        self._output.clear()
        dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        options = {"bind": "127.0.0.1", "port": self.port, "save": "", "appendonly": "no"}
        if self._tls is not None:
            options |= {
                **{"port": 0, "tls-port": self.port, "tls-auth-clients": "no"},
                "tls-cert-file": str(self._tls.cert),
                "tls-key-file": str(self._tls.key),
            }
        self._process = subprocess.Popen(
            [
                *(*dies_with_us, *self._command),
                *(part for name, value in options.items() for part in (f"--{name}", str(value))),
            ],
            cwd=self._root,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        listening = (self._process, ready)
        threading.Thread(target=self._listen, args=listening, daemon=True).start()
        if not ready.wait(START_TIMEOUT_S) or self._process.poll() is not None:
            raise RuntimeError("Redis did not start:\n" + "".join(self._output[-20:]))

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Orderly: clients are disconnected, new ones refused."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As in a crash."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It takes connections and answers nothing, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> str:
        """One command, its answer as raw protocol text; `command("FLUSHALL")`."""
        told = f"*{len(words)}\r\n" + "".join(
            f"${len(word.encode())}\r\n{word}\r\n" for word in words
        )
        with socket.create_connection(("127.0.0.1", self.port), timeout=STOP_TIMEOUT_S) as link:
            link.sendall(told.encode())
            return link.recv(1_000_000).decode()

    def remove(self) -> None:
        """End it and delete its directory."""
        self.kill()
        shutil.rmtree(self._root)

    def _listen(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._output.append(line)
                if "Ready to accept connections" in line:
                    ready.set()
        ready.set()  # it ended: start() looks whether it lives

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)  # a frozen one ends too
            self._process.wait(STOP_TIMEOUT_S)


def _find_postgres() -> Path:
    found = sorted(
        glob.glob("/usr/lib/postgresql/*/bin") + glob.glob("/usr/pgsql-*/bin"),
        key=lambda path: int("".join(filter(str.isdigit, path)) or 0),
    )
    on_path = shutil.which("postgres")
    if on_path:
        found.append(str(Path(on_path).parent))
    if not found:
        raise RuntimeError("the tests need PostgreSQL 14 or later: apt-get install postgresql")
    if shutil.which("setpriv") is None:
        raise RuntimeError("the tests need setpriv: apt-get install util-linux")
    return Path(found[-1])
