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
from genai_app.services.background import every

log = structlog.stdlib.get_logger(__name__)

SEND_S = 0.1
ASK_S = 2.0
WANTED_S = 6.0  # who has not asked again by then reads no more
MAX_PIECE_CHARS = 100_000
HEARD_LOOK_S = 2.0  # it only watches the lease then


class _Ask(msgspec.Struct, tag="ask"):
    """A request for this answer's text from `start` characters on."""

    message_id: uuid.UUID
    start: int
    to: str


class _Piece(msgspec.Struct, tag="piece"):
    """Text that begins at `start`. `ended`: nothing more will come, the database has the end."""

    message_id: uuid.UUID
    start: int
    text: str
    ended: bool


class _Pieces(msgspec.Struct, tag="pieces"):
    all: list[_Piece]


_DECODER = msgspec.msgpack.Decoder(_Ask | _Pieces)
_ENCODER = msgspec.msgpack.Encoder()


class Growing(Protocol):
    """A text that this process makes."""

    text: str


@dataclass(slots=True)
class _Wanted:
    """A reader in another process: how much it has got, and until when it counts as there.
    `greeted`: it was sent a piece, so it knows that this process sends it what grows."""

    sent: int
    until: float
    greeted: bool = False


@dataclass(eq=False, slots=True)
class FarAnswer:
    """An answer that another process makes, as far as its text has come here."""

    message_id: uuid.UUID
    text: str = ""
    owner: str = ""
    ended: bool = False
    heard_at: float = float("-inf")  # when its owner sent something, by the event loop's clock
    readers: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_heard(self) -> bool:
        """True while the answer's owner sends what grows."""
        return asyncio.get_running_loop().time() - self.heard_at < 2 * ASK_S

    def learn(self, text: str, owner: str) -> None:
        """Takes the text and the owner that the database has."""
        self.owner = owner
        if self.ended:  # its owner reported it before it began, or cannot save the end yet
            self.ended, self.heard_at = False, float("-inf")
        if len(text) > len(self.text):
            self.text = text

    def hear(self, start: int, text: str, *, ended: bool) -> bool:
        """Takes a piece. Returns whether something before it is missing."""
        self.heard_at = asyncio.get_running_loop().time()
        missing = start > len(self.text)
        if not missing:
            self.text += text[len(self.text) - start :]
            self.ended = self.ended or ended
        self._news.set()
        return missing

    async def changed(self, within_s: float) -> None:
        """Returns at the next news, or when the time is over."""
        self._news.clear()
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            return


async def grown(far: FarAnswer, seen: int, pause_s: float, look_s: float) -> AsyncGenerator[str]:
    """Yields the text of an answer made elsewhere, from `seen` characters on, until the database
    should be looked at again: after `look_s`, or HEARD_LOOK_S while its owner sends what grows."""
    loop = asyncio.get_running_loop()
    until = loop.time() + (HEARD_LOOK_S if far.is_heard else max(pause_s, look_s))
    while True:
        if text := far.text[seen:]:
            seen += len(text)
            yield text
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
        question = _Ask(far.message_id, len(far.text), self._bus.address)
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

    def _due(self) -> dict[str, list[_Piece]]:
        """Returns the pieces that each reading process has not got yet, by its address."""
        now = asyncio.get_running_loop().time()
        due: dict[str, list[_Piece]] = {}
        for (to, message_id), wanted in list(self._wanted.items()):
            live = self._find(message_id)
            text = live.text[wanted.sent : wanted.sent + MAX_PIECE_CHARS] if live else ""
            if text or live is None or not wanted.greeted:
                wanted.greeted = True
                piece = _Piece(message_id, wanted.sent, text, ended=live is None)
                due.setdefault(to, []).append(piece)
                wanted.sent += len(text)
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
            self._wanted[message.to, message.message_id] = _Wanted(max(message.start, 0), until)
            self._wanted_any.set()
            return
        for piece in message.all:
            far = self._far.get(piece.message_id)
            if far is not None and far.hear(piece.start, piece.text, ended=piece.ended):
                far.heard_at = float("-inf")  # the database is asked, and its owner from there on
