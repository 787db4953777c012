"""PgBouncer in transaction mode before a PostgreSQL of the tests."""

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fakes.app_process import poll
from tests.fakes.child import find_program
from tests.fakes.services import PostgresServer, free_port

TIMEOUT_S = 60.0


class PgBouncer:
    """A context manager. It leads to every database of `server`, with few connections, so that
    clients change them all the time.

    Args:
        pool_size: server connections for each database.
    """

    def __init__(self, server: PostgresServer, *, pool_size: int = 5) -> None:
        self.port = free_port()
        self._server = server
        self._pool_size = pool_size
        self._root = Path(tempfile.mkdtemp(prefix="genai-pgbouncer-"))
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """The address of a database as GENAI_DATABASE_URL takes it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Self:
        program = find_program("pgbouncer", "pgbouncer")
        (self._root / "users").write_text('"postgres" ""\n')
        configuration = self._root / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self._server.port}\n"
            "[pgbouncer]\nlisten_addr = 127.0.0.1\nunix_socket_dir =\n"
            f"listen_port = {self.port}\nauth_type = trust\nauth_file = {self._root}/users\n"
            f"pool_mode = transaction\ndefault_pool_size = {self._pool_size}\n"
            f"logfile = {self._root}/log\nserver_round_robin = 1\n"
        )
        command = ["setpriv", "--pdeathsig", "TERM"]
        if os.geteuid() == 0:  # it refuses to run as root
            command += ["--reuid=postgres", "--regid=postgres", "--init-groups"]
            shutil.chown(self._root, "postgres", "postgres")
        self._process = subprocess.Popen(
            [*command, "--", program, str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if not poll(self._listens, TIMEOUT_S):
            log = self._root / "log"
            raise RuntimeError(
                f"PgBouncer did not start: {log.read_text() if log.exists() else ''}"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(TIMEOUT_S)
        shutil.rmtree(self._root)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False
