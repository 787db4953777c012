"""Reads a file in a child process, because a parser that meets a hostile file may hang, take all
memory or run somebody else's code (docs/adr/0026).

The child has no network, no secrets, no descriptors, no way to other files, bounds on memory,
time and output. Nothing that it writes is trusted.
"""

import asyncio
import compileall
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import msgspec

from genai_app.adapters.documents.errors import CODES, UnreadableFile
from genai_app.adapters.documents.index import INDEX, RESULT, THUMBNAIL, check_index
from genai_app.adapters.documents.summary import DocumentSummary, ReadingOutcome
from genai_app.errors import Unavailable

ROOT = Path(__file__).parents[3]
READERS = Path(__file__).parent / "child"
MAX_RESULT = 1 << 20  # bytes
MAX_NAME = 1000  # characters
# no site: nothing of the environment, no .pth file; the paths come by standard input
_BOOT = (
    "import json, sys; job = json.load(sys.stdin); sys.path[:0] = job['paths'][:1]; "
    "sys.path += job['paths'][1:]; "
    "from genai_app.adapters.documents.child.main import main; main(job)"
)
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "OMP_THREAD_LIMIT": "1"}


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """The bounds of one child. A file that needs more is `file_too_large`."""

    wall_s: float = 60.0
    cpu_s: int = 60
    memory_mb: int = 1024
    output_mb: int = 256  # of one file that it writes
    pages: int = 5000
    chars: int = 20_000_000
    pictures: int = 20
    ocr: bool = True  # where Tesseract is installed


async def read_document(
    source: Path, name: str, target: Path, limits: ReadingLimits | None = None
) -> DocumentSummary:
    """Reads a file and writes its text, its index and its pictures into a directory.

    Args:
        source: the file; its kind is found by content.
        name: as its user calls it; it decides only between kinds of text.
        target: an empty directory. After an error or a cancel its content means nothing.

    Raises:
        UnreadableFile: with a code of errors.CODES.
        Unavailable: no process can be started.
    """
    bounds = limits or ReadingLimits()
    job = await asyncio.to_thread(_job, source, name, target, bounds)
    status = await run_child(_BOOT, job, target, bounds.wall_s)
    return await asyncio.to_thread(_outcome, target, status)


async def run_child(program: str, stdin: bytes, folder: Path, wall_s: float) -> int:
    """Runs a Python program in a process group of its own, and returns its exit status.

    The group is dead when this returns or raises, also at a cancel.

    Raises:
        UnreadableFile: file_too_large, the time is over.
        Unavailable: no process can be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-I",
                "-S",
                *(["-B"] if sys.dont_write_bytecode else []),
                "-c",
                program,
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=folder,
            env=_ENVIRONMENT,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"no child process: {type(error).__name__}") from error
    try:
        async with asyncio.timeout(wall_s):
            await process.communicate(stdin)
    except TimeoutError:
        raise UnreadableFile("its time is over", code="file_too_large") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0


@cache
def _compile_readers() -> None:
    """Compiles the readers once: a confined child may not write what it compiled, and would do it
    again for each file. A tree that cannot be written has been compiled by who installed it."""
    if not sys.dont_write_bytecode:
        compileall.compile_dir(READERS, quiet=2)


def _job(source: Path, name: str, target: Path, bounds: ReadingLimits) -> bytes:
    _compile_readers()
    if source.stat().st_size == 0:
        raise UnreadableFile(code="file_empty")
    paths = [path for path in sys.path if path and Path(path).is_dir() and path != str(ROOT)]
    job = {
        **asdict(bounds),
        "source": str(source.resolve()),
        # lone surrogates of broken names are in no JSON
        "name": name[-MAX_NAME:].encode("utf-8", "replace").decode("utf-8"),
        "target": str(target.resolve()),
        "parent": os.getpid(),
        "paths": [str(ROOT), *paths],
    }
    return msgspec.json.encode(job)


def _outcome(target: Path, status: int) -> DocumentSummary:
    """Reads and checks what a child wrote."""
    if status == -signal.SIGXCPU:
        raise UnreadableFile("its CPU time is over", code="file_too_large")
    try:
        outcome = msgspec.json.decode(_own_file(target / RESULT), type=ReadingOutcome)
    except (OSError, msgspec.MsgspecError) as error:
        detail = f"the child ended with {status}: {type(error).__name__}"
        raise UnreadableFile(detail, code="file_damaged") from error
    if outcome.summary is None:
        code = outcome.error if outcome.error in CODES else "file_damaged"
        raise UnreadableFile(outcome.detail, code=code)
    _check_files(target, outcome.summary)
    return outcome.summary


def _own_file(path: Path) -> bytes:
    """Returns a file that is no link and not too large."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MAX_RESULT + 1)
    if len(content) > MAX_RESULT:
        raise OSError("too large")
    return content


def _check_files(target: Path, summary: DocumentSummary) -> None:
    """Removes what does not belong to a summary; raises UnreadableFile if something is missing."""
    expected = {picture.name for picture in summary.pictures}
    expected |= {INDEX} | ({THUMBNAIL} if summary.thumbnail else set())
    for entry in os.scandir(target):
        if entry.is_file(follow_symlinks=False) and entry.name in expected:
            expected.discard(entry.name)
        elif not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)
    if expected:
        raise UnreadableFile(f"missing: {sorted(expected)[0]}", code="file_damaged")
    check_index(target / INDEX)
