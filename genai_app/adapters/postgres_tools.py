"""PostgreSQL's own programs: pg_dump, pg_restore, psql.

They are given the connection by environment variables: a password on a command line is everybody's
to read. What they write goes through pipes, so nothing lies about in a file.
"""

import glob
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from threading import Thread
from typing import IO

from genai_app.errors import Conflict, Unavailable
from genai_app.settings.database_url import parse_database_url
from genai_app.settings.variables import child_environment

# where packages put them beside the PATH: Debian; Red Hat and its kin
DIRECTORIES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
CHUNK = 1 << 20
VERSION_S = 10
LOCK_WAIT = "60s"  # for a migration that holds a table
MAX_SAID = 300
SERVICE = "genai"
# of pg_restore 17; those before it are known to every server that is supported
_NEW_SETTINGS = re.compile(rb"^SET transaction_timeout = 0;$", re.MULTILINE)


@contextmanager
def connection_environment(url: str) -> Generator[tuple[dict[str, str], int]]:
    """The variables by which libpq's programs find `url`, and a file they must be given open: it
    has the parameters, for not all of them have a variable. It is of no name, so nobody else finds
    it and nothing is left of it."""
    words = parse_database_url(url).keywords(application="genai backup")
    told = {"PGPASSWORD": words.pop("password")} if "password" in words else {}
    lines = [f"[{SERVICE}]", *(f"{name}={text}" for name, text in words.items())]
    with tempfile.TemporaryFile() as file:
        file.write("\n".join([*lines, ""]).encode())
        file.flush()
        told |= {"PGSERVICE": SERVICE, "PGSERVICEFILE": f"/dev/fd/{file.fileno()}"}
        yield told, file.fileno()


def find_program(name: str, at_least: int) -> tuple[str, int]:
    """Path and major version of the newest such program on this machine.

    Args:
        at_least: a major version; an older program does not understand the server.

    Raises:
        Conflict: pg_tools_missing, pg_tools_old.
    """
    on_path = shutil.which(name)
    beside = [each for where in DIRECTORIES for each in glob.glob(f"{where}/{name}")]
    known = [(_major(path), path) for path in ([on_path] if on_path else []) + sorted(beside)]
    major, path = max(known, key=lambda each: each[0], default=(0, ""))
    if not major:
        raise Conflict(code="pg_tools_missing", program=name, needed=at_least)
    if major < at_least:
        raise Conflict(code="pg_tools_old", program=name, found=major, needed=at_least)
    return path, major


def _major(path: str) -> int:
    """0 for what does not run."""
    try:
        done = subprocess.run(  # noqa: S603 - a path of our own finding
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_S,
            check=False,
            env=child_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r"\) (\d+)", done.stdout)
    return int(found[1]) if found else 0


def dump(url: str, program: str, snapshot: str, write: Callable[[bytes], object]) -> None:
    """Give `write` the whole database in pg_dump's custom format, as `snapshot` sees it.

    Raises:
        Unavailable: pg_tool_failed.
    """
    command = [
        *(program, "--format=custom", "--compress=1", f"--snapshot={snapshot}"),
        *("--no-owner", "--no-privileges", "--no-password", f"--lock-wait-timeout={LOCK_WAIT}"),
    ]
    with _running(command, url, stdout=subprocess.PIPE) as (process, said):
        assert process.stdout is not None
        while chunk := process.stdout.read(CHUNK):
            write(chunk)
        _end(process, said, "pg_dump")


def load(
    url: str,
    programs: tuple[str, str],
    source: IO[bytes],
    before: Sequence[str],
    progress: Callable[[int], object],
) -> None:
    """Put a dump into a database, all or nothing.

    psql is told to commit only when pg_restore has read the archive to its end: whatever dies on
    the way, this process too, leaves the database as it was.

    Args:
        programs: paths of pg_restore and psql.
        source: the archive, read once from its beginning.
        before: statements to run first, within the same transaction.
        progress: is told the bytes of SQL so far.

    Raises:
        Unavailable: pg_tool_failed.
    """
    pg_restore, psql = programs
    unpack = [pg_restore, "--file=-", "--no-owner", "--no-privileges"]
    run = [psql, "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--file=-"]
    with (
        _running(run, url, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as (into, into_said),
        _running(unpack, url, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as (out, out_said),
    ):
        assert into.stdin is not None
        assert out.stdin is not None
        assert out.stdout is not None
        feeder = Thread(target=_feed, args=(source, out.stdin), daemon=True)
        feeder.start()
        try:
            into.stdin.write("".join(f"{each};\n" for each in ("BEGIN", *before)).encode())
            count, beginning = 0, True
            while chunk := out.stdout.read(CHUNK):
                count += len(chunk)
                into.stdin.write(_for_older_servers(chunk) if beginning else chunk)
                beginning = False
                progress(count)
            feeder.join()
            _end(out, out_said, "pg_restore")
            into.stdin.write(b"\nCOMMIT;\n")
            into.stdin.close()
        except BrokenPipeError:
            pass  # psql met an error and said so
        _end(into, into_said, "psql")


def _for_older_servers(beginning: bytes) -> bytes:
    """The first lines that pg_restore writes, without settings that servers older than it do not
    know. They are told the defaults, so nothing is lost.
    """
    head, mark, rest = beginning.partition(b"SET client_encoding")
    return _NEW_SETTINGS.sub(b"", head) + mark + rest


def _feed(source: IO[bytes], to: IO[bytes]) -> None:
    """What cannot be read is missing at the other end, which says so."""
    with suppress(OSError, ValueError), to:
        while chunk := source.read(CHUNK):
            to.write(chunk)


@contextmanager
def _running(
    command: list[str], url: str, *, stdin: int = subprocess.DEVNULL, stdout: int
) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A program, and the file that has what it complains of. It ends with the block."""
    with tempfile.TemporaryFile() as said, connection_environment(url) as (variables, file):
        process = subprocess.Popen(  # noqa: S603 - a program of our own finding
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=said,
            env=child_environment(**variables),
            pass_fds=(file,),
        )
        try:
            yield process, said
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()


def _end(process: subprocess.Popen[bytes], said: IO[bytes], program: str) -> None:
    if process.wait() == 0:
        return
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").splitlines()
    # the line that names the fault; those after it may quote rows
    worst = next((line for line in lines if "error" in line.lower()), lines[0] if lines else "")
    raise Unavailable(worst[:MAX_SAID], code="pg_tool_failed", program=program)
