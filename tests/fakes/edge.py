"""What stands around the product, started from the very files of deploy/: nginx, two Redis with
their users, PostgreSQL with its role. Only addresses, ports and folders are replaced."""

import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fakes.app_process import ROOT, poll
from tests.fakes.certificates import Authority
from tests.fakes.child import find_program, search_path
from tests.fakes.services import PostgresServer, RedisServer, free_port

DEPLOY = ROOT / "deploy"
TIMEOUT_S = 60.0


def make_secrets(folder: Path, *hosts: str) -> dict[str, str]:
    """What deploy/make-secrets.sh makes for these hosts, by name."""
    script = str(DEPLOY / "make-secrets.sh")
    subprocess.run(
        [script, str(folder), *hosts], check=True, capture_output=True, timeout=TIMEOUT_S
    )
    return {path.name: path.read_text() for path in folder.iterdir()}


def deployed_redis(name: str, acl: Path, *options: str) -> RedisServer:
    """Redis with deploy/redis/`name`.conf and the users of `acl`. `options` win."""
    return RedisServer(str(DEPLOY / "redis" / f"{name}.conf"), "--aclfile", str(acl), *options)


def deployed_postgres(password_file: Path) -> PostgresServer:
    """PostgreSQL with deploy/postgres: its role and database made, then its configuration.

    Only the tests' own way in, without a password, is put behind the lines of pg_hba.conf.
    """
    server = PostgresServer()
    try:
        server.start()
        subprocess.run(
            [str(DEPLOY / "postgres" / "init.sh")],
            env={
                "PATH": os.environ["PATH"],
                "PASSWORD_FILE": str(password_file),
                "PGHOST": "127.0.0.1",
                "PGPORT": str(server.port),
            },
            check=True,
            timeout=TIMEOUT_S,
        )
        server.stop()
        for name in ("postgresql.conf", "pg_hba.conf"):
            text = (DEPLOY / "postgres" / name).read_text()
            if name == "pg_hba.conf":
                text += "host all postgres 127.0.0.1/32 trust\n"
            path = server.folder / name
            path.write_text(text)
            path.chmod(0o644)
            server.options |= {
                {"postgresql.conf": "config_file", "pg_hba.conf": "hba_file"}[name]: str(path)
            }
        server.start()
    except BaseException:
        server.remove()
        raise
    return server


class Nginx:
    """nginx with deploy/nginx in front of two products: a context manager.

    Args:
        home: an empty folder for its files, certificates and logs.
        port: where it speaks TLS, as the products' GENAI_PUBLIC_URL says.
        first, second: ports of the products.
        changes: what else to replace in the files: `{"genai_address 512": "genai_address 3"}`.
    """

    def __init__(
        self,
        home: Path,
        port: int,
        first: int,
        second: int,
        changes: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.port = port
        self.plain_port = free_port()
        self.url = f"https://localhost:{port}"
        home.mkdir(parents=True)
        authority = Authority(home / "tls")
        self.ca_file = authority.ca_file
        certificate = authority.issue("localhost", "127.0.0.1")
        self._places = {
            "127.0.0.1:8101": f"127.0.0.1:{first}",
            "127.0.0.1:8102": f"127.0.0.1:{second}",
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "chat.corp.example": "localhost",
            "/etc/pki/tls/certs/genai.crt": str(certificate.cert),
            "/etc/pki/tls/private/genai.key": str(certificate.key),
            "/var/log/nginx/": f"{home}/",
            "/etc/nginx/": f"{home}/",
            "/dev/stderr": f"{home}/error.log",
            "/tmp/": f"{home}/",
            **(changes or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for source, target in (("conf.d", "conf.d"), ("genai", "genai"), ("bare", "genai-site")):
            shutil.copytree(DEPLOY / "nginx" / source, self.home / target)
        shutil.copy(DEPLOY / "nginx" / "nginx.conf", self.home)
        places = re.compile("|".join(map(re.escape, self._places)))
        for path in self.home.rglob("*.conf"):
            path.write_text(places.sub(lambda found: self._places[found[0]], path.read_text()))
        self.start()
        return self

    def start(self) -> None:
        """Returns when it listens."""
        user = " user root;" if os.geteuid() == 0 else ""  # who owns this folder
        self._process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "TERM", "--", find_program("nginx", "nginx-light")),
                *("-p", str(self.home), "-c", str(self.home / "nginx.conf")),
                *("-e", str(self.home / "start.log"), "-g", f"daemon off;{user}"),
            ],
            env={"PATH": search_path()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if not poll(self._listens, TIMEOUT_S):
            self.stop()
            raise RuntimeError(f"nginx did not start:\n{self.logs()}")

    def stop(self) -> None:
        """Every connection is cut."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(TIMEOUT_S)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def trust(self) -> ssl.SSLContext:
        """Trusts the authority that signed its certificate, and no other."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def logs(self) -> str:
        """All that it wrote, in whatever file."""
        return "".join(path.read_text() for path in sorted(self.home.glob("*.log")))

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"nginx ended at its start:\n{self.logs()}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False
