"""Files that are sent to a bot: read from the messenger, stored like any other of their user."""

import asyncio
import uuid
from collections.abc import Sequence

from genai_app.access import Actor
from genai_app.adapters.messenger import (
    ChatFile,
    FileTooLong,
    Messenger,
    MessengerError,
    TooManyCalls,
)
from genai_app.errors import FileTooLarge, InvalidInput, Unavailable
from genai_app.services.files.files import MAX_ATTACHED
from genai_app.services.files.incoming import IncomingFile, IncomingFiles

MB = 1024 * 1024
TRIES = 3
MOST_WAIT_S = 30.0


class BotFiles:
    """Takes the files of one messenger.

    Args:
        most_mb: the largest file that is taken.
    """

    def __init__(self, incoming: IncomingFiles, messenger: Messenger, most_mb: int) -> None:
        self._incoming = incoming
        self._messenger = messenger
        self._most_bytes = most_mb * MB

    async def take(
        self, actor: Actor, waiting: Sequence[uuid.UUID], files: Sequence[ChatFile]
    ) -> tuple[uuid.UUID, ...]:
        """Returns the ids of files that wait for a question, and of new ones once they are read.

        Raises:
            FileTooLarge; InvalidInput: too_many_files, or the code of an unreadable file.
            Unavailable: messenger_unavailable. Others: see IncomingFiles.take.
        """
        if not files:
            return tuple(waiting)
        if len(waiting) + len(files) > MAX_ATTACHED:
            raise InvalidInput(code="too_many_files", limit=MAX_ATTACHED)
        loaded = [
            await asyncio.to_thread(IncomingFile.of, each.name, await self._load(each))
            for each in files
        ]
        rows = await self._incoming.take(actor, loaded)
        return tuple(dict.fromkeys((*waiting, *(row.id for row in rows))))

    async def _load(self, file: ChatFile) -> bytes:
        for tries_left in reversed(range(TRIES)):
            try:
                return await self._messenger.download(file, self._most_bytes)
            except FileTooLong as error:
                raise FileTooLarge(limit_mb=error.most_bytes // MB) from None
            except TooManyCalls as error:
                wait_s = min(error.retry_after_s, MOST_WAIT_S)
            except MessengerError:
                wait_s = 1.0
            if tries_left:
                await asyncio.sleep(wait_s)
        raise Unavailable(code="messenger_unavailable", retry_after_s=60)
