"""Pictures that were sent as one album: a messenger makes a message of each of them."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from genai_app.adapters.messenger import ChatUpdate
from genai_app.services.messengers.inbox import Waiting

PAUSE_S = 1.0  # after the last picture: the next one of an album comes within it


async def whole_album(queue: Sequence[Waiting]) -> tuple[Sequence[uuid.UUID], ChatUpdate]:
    """Returns the first update of a queue with its id; of an album all of it as one update, with
    the ids of all. Waits for the rest of an album."""
    key, first = queue[0]
    if not first.album:
        return [key], first
    album: list[Waiting] = []
    while len(more := _album(queue)) > len(album):
        album = more
        await asyncio.sleep(PAUSE_S)
    updates = [update for _, update in album]
    files = tuple(file for update in updates for file in update.files)
    text = next((update.text for update in updates if update.text.strip()), "")
    return [each for each, _ in album], replace(first, files=files, text=text)


def _album(queue: Sequence[Waiting]) -> list[Waiting]:
    """Returns the updates at the beginning of a queue that belong to one album."""
    name = queue[0][1].album
    return list(takewhile(lambda waiting: waiting[1].album == name, queue))
