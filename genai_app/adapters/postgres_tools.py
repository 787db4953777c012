"""PostgreSQL's own programs: pg_dump, pg_restore, psql.

They get the connection by environment variables, because everybody can read a command line. Their
output goes through pipes, so that no data is left in a file.
"""

import glob
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from typing import IO

from genai_app.errors import Conflict, Unavailable
from genai_app.settings.database_url import parse_database_url
from genai_app.settings.variables import child_environment

# folders of packages outside the PATH: Debian; Red Hat and its derivatives
DIRECTORIES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
CHUNK = 1 << 20
VERSION_S = 10
LOCK_WAIT = "60s"  # for a migration that locks a table
MAX_MESSAGE = 300  # characters
SERVICE = "genai"
# written by pg_restore 17; every supported server knows the older settings
_NEW_SETTINGS = re.compile(rb"^SET transaction_timeout = 0;$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Program:
    """A running program and the file that receives its error messages."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]

    def check_exit(self, name: str) -> None:
        """Waits for the end of the program. Raises Unavailable pg_tool_failed if it failed."""
        if self.process.wait() == 0:
            return
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").splitlines()
        # only the line of the error: later ones may quote rows
        first = lines[0] if lines else ""
        message = next((line for line in lines if "error" in line.lower()), first)
        raise Unavailable(message[:MAX_MESSAGE], code="pg_tool_failed", program=name)


@contextmanager
def connection_environment(url: str) -> Generator[tuple[dict[str, str], int]]:
    """Yields environment variables by which libpq's programs connect to `url`, and the descriptor
    of a file that the program must inherit. The file has the parameters, because not all of them
    have a variable. It has no name, so that nobody else can open it."""
    parameters = parse_database_url(url).keywords(application="genai backup")
    variables: dict[str, str] = {}
    if "password" in parameters:
        variables["PGPASSWORD"] = parameters.pop("password")
    lines = [f"[{SERVICE}]", *(f"{name}={text}" for name, text in parameters.items())]
    with tempfile.TemporaryFile() as file:
        file.write("\n".join([*lines, ""]).encode())
        file.flush()
        variables |= {"PGSERVICE": SERVICE, "PGSERVICEFILE": f"/dev/fd/{file.fileno()}"}
        yield variables, file.fileno()


def find_program(name: str, at_least: int) -> tuple[str, int]:
    """Returns path and major version of the newest such program on this machine.

    Args:
        at_least: a major version; an older program does not understand the server.

    Raises:
        Conflict: pg_tools_missing, pg_tools_old.
    """
    on_path = shutil.which(name)
    packaged = [path for folder in DIRECTORIES for path in glob.glob(f"{folder}/{name}")]
    paths = ([on_path] if on_path else []) + sorted(packaged)
    major, path = max(
        ((_major(path), path) for path in paths), key=lambda each: each[0], default=(0, "")
    )
    if not major:
        raise Conflict(code="pg_tools_missing", program=name, needed=at_least)
    if major < at_least:
        raise Conflict(code="pg_tools_old", program=name, found=major, needed=at_least)
    return path, major


def _major(path: str) -> int:
    """Returns the major version of a program; 0 if it cannot be run."""
    try:
        result = subprocess.run(  # noqa: S603 - the path comes from find_program
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_S,
            check=False,
            env=child_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r"\) (\d+)", result.stdout)
    return int(match[1]) if match else 0


def dump(url: str, program: str, snapshot: str, write: Callable[[bytes], object]) -> None:
    """Passes the whole database to `write`, in pg_dump's custom format, as `snapshot` sees it.

    Raises:
        Unavailable: pg_tool_failed.
    """
    command = [
        *(program, "--format=custom", "--compress=1", f"--snapshot={snapshot}"),
        *("--no-owner", "--no-privileges", "--no-password", f"--lock-wait-timeout={LOCK_WAIT}"),
    ]
    with _running(command, url, stdout=subprocess.PIPE) as program_run:
        assert program_run.process.stdout is not None
        while chunk := program_run.process.stdout.read(CHUNK):
            write(chunk)
        program_run.check_exit("pg_dump")


def load(
    url: str,
    programs: tuple[str, str],
    source: IO[bytes],
    before: Sequence[str],
    progress: Callable[[int], object],
) -> None:
    """Loads a dump into a database in one transaction.

    psql gets its COMMIT only after pg_restore has read the whole archive: if any process dies
    before that, this one included, the database is unchanged.

    Args:
        programs: paths of pg_restore and psql.
        source: the archive, read once from its beginning.
        before: statements to run first, within the same transaction.
        progress: called with the bytes of SQL loaded so far.

    Raises:
        Unavailable: pg_tool_failed.
    """
    pg_restore, psql = programs
    unpack = [pg_restore, "--file=-", "--no-owner", "--no-privileges"]
    execute = [psql, "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--file=-"]
    with (
        _running(execute, url, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as loader,
        _running(unpack, url, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as unpacker,
    ):
        sql, archive = loader.process.stdin, unpacker.process.stdin
        assert sql is not None
        assert archive is not None
        feeder = Thread(target=_feed, args=(source, archive), daemon=True)
        feeder.start()
        try:
            sql.write("".join(f"{each};\n" for each in ("BEGIN", *before)).encode())
            _copy_sql(unpacker, sql, progress)
            feeder.join()
            unpacker.check_exit("pg_restore")
            sql.write(b"\nCOMMIT;\n")
            sql.close()
        except BrokenPipeError:
            pass  # psql met an error, which check_exit reports
        loader.check_exit("psql")


def _copy_sql(unpacker: _Program, sql: IO[bytes], progress: Callable[[int], object]) -> None:
    assert unpacker.process.stdout is not None
    count = 0
    while chunk := unpacker.process.stdout.read(CHUNK):
        sql.write(chunk if count else _for_older_servers(chunk))
        count += len(chunk)
        progress(count)


def _for_older_servers(beginning: bytes) -> bytes:
    """Removes settings that older servers do not know from the first lines of pg_restore's output.
    Their values are the defaults, so nothing is lost."""
    head, mark, rest = beginning.partition(b"SET client_encoding")
    return _NEW_SETTINGS.sub(b"", head) + mark + rest


def _feed(source: IO[bytes], pipe: IO[bytes]) -> None:
    """Copies the archive into a pipe. On an error the reader reports an incomplete archive."""
    with suppress(OSError, ValueError), pipe:
        while chunk := source.read(CHUNK):
            pipe.write(chunk)


@contextmanager
def _running(
    command: list[str], url: str, *, stdin: int = subprocess.DEVNULL, stdout: int
) -> Generator[_Program]:
    """Runs a program during the block."""
    with tempfile.TemporaryFile() as errors, connection_environment(url) as (variables, file):
        process = subprocess.Popen(  # noqa: S603 - the path comes from find_program
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=errors,
            env=child_environment(**variables),
            pass_fds=(file,),
        )
        try:
            yield _Program(process, errors)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
