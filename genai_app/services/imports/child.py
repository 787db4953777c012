"""The child process that reads an uploaded file, and what it tells."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import structlog

from genai_app.errors import NotFound, Unavailable
from genai_app.services.imports.reader.frames import HEAD, MAX_FRAME_BYTES, Frame, ReadEnd

log = structlog.stdlib.get_logger(__name__)

READER = "genai_app.services.imports.reader"
PROJECT = Path(__file__).parents[3]

_decoder = msgspec.json.Decoder(Frame)


@asynccontextmanager
async def reading(path: Path) -> AsyncGenerator[AsyncGenerator[Frame]]:
    """Starts the reader of a file and yields its frames. Kills it at the end of the block.

    Raises:
        NotFound: import_lost: there is no such file.
        Unavailable: import_failed: the reader ended before its last frame.
    """
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except OSError:
        raise NotFound(code="import_lost") from None
    with file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", READER),
            cwd=PROJECT,
            env={"PYTHONPATH": str(PROJECT), "LC_ALL": "C.UTF-8"},  # none of our secrets
            stdin=file,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # it might hold text of a dialog
        )
    try:
        yield _frames(process)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())


async def _frames(process: asyncio.subprocess.Process) -> AsyncGenerator[Frame]:
    """Yields frames up to the last one. The reader waits while nobody takes them."""
    stream = process.stdout
    assert stream is not None  # a pipe
    try:
        while True:
            (size,) = HEAD.unpack(await stream.readexactly(HEAD.size))
            if size > MAX_FRAME_BYTES:
                raise Unavailable(code="import_failed")
            frame = _decoder.decode(await stream.readexactly(size))
            yield frame
            if isinstance(frame, ReadEnd):
                return
    except (asyncio.IncompleteReadError, msgspec.DecodeError):
        log.error("import.reader_broken", status=await process.wait())
        raise Unavailable(code="import_failed") from None
