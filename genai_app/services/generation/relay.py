"""Live text of answers that another process makes. See docs/adr/0021-replicas.md.

Whoever reads such an answer asks its process for the text from some length on, and again every two
seconds; that one sends what grows, ten times a second, to those who asked and to nobody else. An
answer that is read where it is made costs Redis nothing. Every piece says where it begins, so a
lost one is noticed and asked for again. What the database has is what counts: without Redis readers
look there twice a second.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import structlog

from genai_app.adapters.redis.bus import Bus
from genai_app.models import Status
from genai_app.services.background import every
from genai_app.services.generation.checkpoints import Increment, SavedAnswer
from genai_app.services.generation.seen import Seen

log = structlog.stdlib.get_logger(__name__)

SEND_S = 0.1
ASK_S = 2.0
WANTED_S = 6.0  # who has not asked again by then reads no more
MAX_PIECE_CHARS = 100_000
HEARD_LOOK_S = 2.0  # it only watches the lease then


class _Ask(msgspec.Struct, tag="ask"):
    """A request for this answer's text from `start` characters on, and its reasoning from
    `reasoning_start`. `swaps`: how often both have changed places, as far as the reader knows."""

    message_id: uuid.UUID
    start: int
    to: str
    reasoning_start: int = 0
    swaps: int = 0


class AnswerPiece(msgspec.Struct, tag="piece"):
    """Text that begins at `start`. `ended`: nothing more will come, the database has the end.

    `reasoning` begins at `reasoning_start`. `swaps`: as in `_Ask`.
    """

    message_id: uuid.UUID
    start: int
    text: str
    ended: bool
    reasoning_start: int = 0
    reasoning: str = ""
    reasoning_ms: int | None = None
    swaps: int = 0


class _Pieces(msgspec.Struct, tag="pieces"):
    all: list[AnswerPiece]


_DECODER = msgspec.msgpack.Decoder(_Ask | _Pieces)
_ENCODER = msgspec.msgpack.Encoder()


class Growing(Protocol):
    """An answer that this process makes."""

    text: str
    reasoning: str
    swaps: int

    @property
    def reasoning_ms(self) -> int | None: ...


@dataclass(slots=True)
class _Wanted:
    """A reader in another process: how much it has got, and until when it counts as there.
    `greeted`: it was sent a piece, so it knows that this process sends it what grows."""

    sent: Seen
    until: float
    swaps: int = 0
    greeted: bool = False

    def piece_of(self, message_id: uuid.UUID, live: Growing | None) -> AnswerPiece | None:
        """Returns what the reader has not got yet; None when there is nothing."""
        if live is not None and live.swaps != self.swaps:
            self.sent, self.swaps, self.greeted = Seen(), live.swaps, False
        text, reasoning = self.sent.rest_of(live) if live is not None else ("", "")
        text, reasoning = text[:MAX_PIECE_CHARS], reasoning[:MAX_PIECE_CHARS]
        if not text and not reasoning and live is not None and self.greeted:
            return None
        piece = AnswerPiece(
            message_id,
            self.sent.text,
            text,
            ended=live is None,
            reasoning_start=self.sent.reasoning,
            reasoning=reasoning,
            reasoning_ms=live.reasoning_ms if live is not None else None,
            swaps=self.swaps,
        )
        self.sent, self.greeted = self.sent.after(text, reasoning), True
        return piece


@dataclass(eq=False, slots=True)
class FarAnswer:
    """An answer that another process makes, as far as its text has come here.

    `swaps`: how often its text and reasoning have changed places; -1: the database has others than
    its owner sent. `replaced`: how often both were replaced here.
    """

    message_id: uuid.UUID
    text: str = ""
    reasoning: str = ""
    reasoning_ms: int | None = None
    swaps: int = 0
    replaced: int = 0
    owner: str = ""
    ended: bool = False
    heard_at: float = float("-inf")  # when its owner sent something, by the event loop's clock
    readers: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_heard(self) -> bool:
        """True while the answer's owner sends what grows."""
        return asyncio.get_running_loop().time() - self.heard_at < 2 * ASK_S

    def learn(self, saved: SavedAnswer) -> None:
        """Takes the texts and the owner that the database has."""
        self.owner = saved.owner
        if self.ended:  # its owner reported it before it began, or cannot save the end yet
            self.ended, self.heard_at = False, float("-inf")
        if not self._agrees(saved):
            if not self.is_heard or saved.end is not None:
                self._replace(-1)
            else:
                return  # the last checkpoint is older than what its owner has sent
        if saved.end is not None or len(saved.text) > len(self.text):
            self.text = saved.text
        if saved.end is not None or len(saved.reasoning) >= len(self.reasoning):
            self.reasoning, self.reasoning_ms = saved.reasoning, saved.reasoning_ms

    def hear(self, piece: AnswerPiece) -> bool:
        """Takes a piece. Returns whether something before it is missing."""
        self.heard_at = asyncio.get_running_loop().time()
        if piece.swaps != self.swaps and not piece.ended:
            if piece.swaps < self.swaps or piece.start or piece.reasoning_start:
                return piece.swaps > self.swaps
            self._replace(piece.swaps)
        missing = piece.start > len(self.text) or piece.reasoning_start > len(self.reasoning)
        if not missing:
            self.text += piece.text[len(self.text) - piece.start :]
            self.reasoning += piece.reasoning[len(self.reasoning) - piece.reasoning_start :]
            self.reasoning_ms = piece.reasoning_ms or self.reasoning_ms
            self.ended = self.ended or piece.ended
        self._news.set()
        return missing

    def _replace(self, swaps: int) -> None:
        self.text = self.reasoning = ""
        self.swaps = swaps
        self.replaced += 1

    def _agrees(self, saved: SavedAnswer) -> bool:
        """Returns whether what is here is a part of what was saved, or the other way round."""
        text, saved_text = self.text.strip(), saved.text.strip()
        if text and not self.reasoning and _is_part(text, saved.reasoning):
            return False  # it was reasoning, or is no more
        if saved_text and not saved.reasoning and _is_part(saved_text, self.reasoning):
            return False  # it was the answer, or is no more
        pairs = ((self.text, saved.text), (self.reasoning, saved.reasoning))
        return all(here.startswith(there) or there.startswith(here) for here, there in pairs)

    async def changed(self, within_s: float) -> None:
        """Returns at the next news, or when the time is over."""
        self._news.clear()
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            return


def _is_part(one: str, other: str) -> bool:
    """Returns whether one of two texts that are not empty begins with the other."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


@dataclass(slots=True)
class FarReader:
    """A reader of an answer that is made elsewhere, and how far it has come."""

    far: FarAnswer
    seen: Seen
    replaced: int = 0

    def rest(self, saved: SavedAnswer | None = None) -> Increment | None:
        """Returns what the reader has not got yet; with the last of it, `saved`, also its end."""
        far, anew = self.far, self.far.replaced != self.replaced
        if anew:
            self.seen, self.replaced = Seen(), far.replaced
        text, reasoning = self.seen.rest_of(far)
        end = saved.end if saved is not None else None
        if not (text or reasoning or anew or end):
            return None
        self.seen = self.seen.after(text, reasoning)
        status, ms = end.status if end else Status.RUNNING, far.reasoning_ms
        return Increment(text, status, end, reasoning=reasoning, reasoning_ms=ms, anew=anew)


async def grown(reader: FarReader, pause_s: float, look_s: float) -> AsyncGenerator[Increment]:
    """Yields what the reader has not got yet of an answer made elsewhere, until the database should
    be looked at again: after `look_s`, or HEARD_LOOK_S while its owner sends what grows."""
    loop, far = asyncio.get_running_loop(), reader.far
    until = loop.time() + (HEARD_LOOK_S if far.is_heard else max(pause_s, look_s))
    while True:
        if increment := reader.rest():
            yield increment
            if pause_s:
                await asyncio.sleep(pause_s)
        elif far.ended or loop.time() >= until:
            return
        else:
            await far.changed(until - loop.time())


class Relay:
    """Sends other processes the text of answers made here, and gets the text of theirs.

    Args:
        bus: None for a process that is alone.
        find: returns the answer made here, by its id.
    """

    def __init__(self, bus: Bus | None, find: Callable[[uuid.UUID], Growing | None]) -> None:
        self._bus = bus
        self._find = find
        self._wanted: dict[tuple[str, uuid.UUID], _Wanted] = {}
        self._far: dict[uuid.UUID, FarAnswer] = {}
        self._wanted_any = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Starts to listen, to send and to ask."""
        if self._bus is None:
            return
        self._bus.open(self._receive)
        self._loops = [
            asyncio.create_task(self._send(), name="relay"),
            asyncio.create_task(every(ASK_S, self._ask_all), name="relay asks"),
        ]

    async def close(self) -> None:
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        if self._bus is not None:
            await self._bus.close()

    @asynccontextmanager
    async def reading(self, message_id: uuid.UUID) -> AsyncGenerator[FarAnswer]:
        """Yields the state of an answer of another process, shared by all its readers here."""
        far = self._far.setdefault(message_id, FarAnswer(message_id))
        far.readers += 1
        try:
            yield far
        finally:
            far.readers -= 1
            if not far.readers:
                self._far.pop(message_id, None)

    async def ask(self, far: FarAnswer) -> None:
        """Has the owner of `far` send what comes after the text that is here."""
        if self._bus is None or not far.owner or far.ended:
            return
        question = _Ask(
            far.message_id,
            len(far.text),
            self._bus.address,
            reasoning_start=len(far.reasoning),
            swaps=far.swaps,
        )
        await self._bus.send(far.owner, _ENCODER.encode(question))

    async def _ask_all(self) -> None:
        for far in list(self._far.values()):
            await self.ask(far)

    async def _send(self) -> None:
        assert self._bus is not None  # opened with one
        while True:
            if not self._wanted:
                self._wanted_any.clear()
                await self._wanted_any.wait()
            for to, pieces in self._due().items():
                await self._bus.send(to, _ENCODER.encode(_Pieces(pieces)))
            await asyncio.sleep(SEND_S)

    def _due(self) -> dict[str, list[AnswerPiece]]:
        """Returns the pieces that each reading process has not got yet, by its address."""
        now = asyncio.get_running_loop().time()
        due: dict[str, list[AnswerPiece]] = {}
        for (to, message_id), wanted in list(self._wanted.items()):
            live = self._find(message_id)
            if piece := wanted.piece_of(message_id, live):
                due.setdefault(to, []).append(piece)
            if live is None or wanted.until < now:
                del self._wanted[to, message_id]
        return due

    def _receive(self, data: bytes) -> None:
        try:
            message = _DECODER.decode(data)
        except msgspec.DecodeError:  # of another version
            return
        if isinstance(message, _Ask):
            until = asyncio.get_running_loop().time() + WANTED_S
            seen = Seen(max(message.start, 0), max(message.reasoning_start, 0))
            self._wanted[message.to, message.message_id] = _Wanted(seen, until, message.swaps)
            self._wanted_any.set()
            return
        for piece in message.all:
            far = self._far.get(piece.message_id)
            if far is not None and far.hear(piece):
                far.heard_at = float("-inf")  # the database is asked, and its owner from there on
