"""A Bot API server over real HTTP that keeps what its users see, enforces what Telegram does to the
author of a bot, and counts whoever is faster than Telegram allows.

    with TelegramServer() as server:
        server.says("question", user=1001)
        server.wait(lambda: server.texts(1001)[-1].startswith("answer"))
"""

import asyncio
import json
import re
import threading
import time
import urllib.parse
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from types import TracebackType
from typing import Any, Self

TOKEN = "424242:TEST-canary-of-the-bot-token-0123456789"
BOT = {"id": 424242, "is_bot": True, "first_name": "Bot", "username": "corp_test_bot"}
TAGS = {"b", "i", "s", "u", "code", "pre", "a", "blockquote", "em", "strong", "tg-spoiler"}
MAX_POLL_S = 30.0
MOST_FILE = 20 * 1024 * 1024
Params = dict[str, Any]


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, description: str, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.code, self.description, self.retry_after = code, description, retry_after


@dataclass
class BotMessage:
    """A message of the bot. `history`: every text that it had, since the `moments` (monotonic, in
    seconds); `html`: the present one as sent."""

    id: int
    chat: int
    html: str
    text: str
    buttons: list[dict[str, str]]
    history: list[str] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    deleted: bool = False

    def note(self, text: str) -> None:
        """Keeps a text that its user reads from now on."""
        self.history.append(text)
        self.moments.append(time.monotonic())


class _Entities(HTMLParser):
    """Parses as strictly as Telegram: known tags, closed in order, nothing unescaped."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            raise Refusal(400, f'Bad Request: can\'t parse entities: unsupported start tag "{tag}"')
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            raise Refusal(400, "Bad Request: can't parse entities: unexpected end tag")

    def handle_data(self, data: str) -> None:
        if "<" in data or ">" in data:
            raise Refusal(400, "Bad Request: can't parse entities: unescaped character")
        self.text.append(data)

    def handle_entityref(self, name: str) -> None:
        if name not in ("lt", "gt", "amp", "quot"):
            raise Refusal(400, "Bad Request: can't parse entities: unknown entity")
        self.text.append(unescape(f"&{name};"))

    def handle_charref(self, name: str) -> None:
        self.text.append(unescape(f"&#{name};"))


def shown_text(html: str) -> str:
    """What the user reads of HTML. Raises Refusal."""
    parser = _Entities()
    parser.feed(html)
    parser.close()
    if parser.open:
        raise Refusal(400, "Bad Request: can't parse entities: can't find end tag")
    return "".join(parser.text)


class TelegramServer:
    """The server; a context manager that runs it in a thread.

    Args:
        enforce: refuses with 429 whoever is faster than Telegram allows; else it only counts.
    """

    def __init__(self, *, port: int = 0, enforce: bool = True) -> None:
        self.port, self._enforce = port, enforce
        self.updates: list[dict[str, Any]] = []
        self.messages: list[BotMessage] = []
        self.calls: list[tuple[str, Params]] = []
        self.files: dict[str, bytes] = {}
        self.acknowledged: list[str] = []
        self.left: list[int] = []
        self.blocked: set[int] = set()
        self.too_fast: list[str] = []
        self.conflicts = 0
        self.offsets: list[int] = []
        self._failures: defaultdict[str, deque[Refusal]] = defaultdict(deque)
        self._lock = threading.RLock()
        self._next_update, self._next_message, self._poll = 1, 100, 0
        self._times: defaultdict[int, deque[float]] = defaultdict(deque)
        self._all: deque[float] = deque()
        self._loop: asyncio.AbstractEventLoop
        self._changed: asyncio.Event
        self._ended: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._started = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    # what a user does

    def says(self, text: str, user: int = 1001, *, language: str = "ru", **more: Any) -> int:
        """A message of a user in the private chat with the bot. Returns the update's id."""
        with self._lock:
            self._next_message += 1
            message = {
                "message_id": self._next_message,
                "date": int(time.time()),
                "chat": {"id": user, "type": "private", "first_name": "Иван"},
                "from": self._user(user, language),
                **({"text": text} if text else {}),
                **more,
            }
            return self._add({"message": message})

    def sends(self, data: bytes, name: str = "", caption: str = "", **more: Any) -> int:
        """A file of a user, or without a name a picture in two sizes."""
        key = f"f{len(self.files)}"
        self.files[key] = data
        about = {"file_id": key, "file_unique_id": key, "file_size": len(data)}
        small = {"file_id": "small", "file_unique_id": "s", "width": 90, "height": 60}
        sent: dict[str, Any] = {"photo": [small, about | {"width": 900, "height": 600}]}
        if name:
            sent = {"document": about | {"file_name": name}}
        return self.says("", **sent, **({"caption": caption} if caption else {}), **more)

    def presses(self, message: BotMessage, label: str) -> int:
        """A press of the button whose label or action begins so."""
        data = next(
            each["callback_data"]
            for each in message.buttons
            if each["text"].startswith(label) or each["callback_data"].startswith(label)
        )
        query = {
            "id": str(len(self.updates) + 7000),
            "from": self._user(message.chat, "ru"),
            "chat_instance": "1",
            "data": data,
            "message": {
                "message_id": message.id,
                "date": int(time.time()),
                "chat": {"id": message.chat, "type": "private", "first_name": "Иван"},
                "text": message.text,
            },
        }
        return self._add({"callback_query": query})

    def fails(
        self, method: str, code: int, description: str = "", retry_after: int | None = None
    ) -> None:
        """Lets the next call of a method fail."""
        self._failures[method.lower()].append(Refusal(code, description, retry_after))

    # what a user sees

    def of(self, user: int = 1001) -> list[BotMessage]:
        with self._lock:
            return [each for each in self.messages if each.chat == user and not each.deleted]

    def texts(self, user: int = 1001) -> list[str]:
        return [each.text for each in self.of(user)]

    async def wait(self, condition: Callable[[], Any], within_s: float = 60.0) -> Any:
        """Waits until the condition is true. Returns its value."""
        until = time.monotonic() + within_s
        while not (value := condition()):
            if time.monotonic() > until:
                raise TimeoutError(f"never came; sent: {[m.text for m in self.messages][-5:]}")
            await asyncio.sleep(0.02)
        return value

    # the protocol

    def _user(self, user: int, language: str) -> dict[str, Any]:
        person = {"id": user, "is_bot": False, "first_name": "Иван", "username": f"user{user}"}
        return {**person, "language_code": language}

    def _add(self, update: dict[str, Any]) -> int:
        with self._lock:
            key = self._next_update
            self._next_update += 1
            self.updates.append({"update_id": key, **update})
        self._loop.call_soon_threadsafe(self._changed.set)
        return key

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed, self._ended = asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(self._client, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._ended.wait()
        server.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                path = line.split()[1].decode()
                headers: dict[str, str] = {}
                while (raw := await reader.readline()).strip():
                    name, _, value = raw.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, payload = 200, self._file(path)
                if payload is None:
                    status, answer = await self._answer(path, body.decode())
                    payload = json.dumps(answer).encode()
                head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
                writer.write(f"{head}content-length: {len(payload)}\r\n\r\n".encode() + payload)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side is gone, or the server ends
        finally:
            writer.close()

    def _file(self, path: str) -> bytes | None:
        match = re.fullmatch(r"/file/bot([^/]+)/files/(\w+)", urllib.parse.unquote(path))
        return self.files.get(match[2]) if match and match[1] == TOKEN else None

    async def _do_getfile(self, params: Params) -> Any:
        key = params["file_id"]
        if len(self.files[key]) > MOST_FILE:
            raise Refusal(400, "Bad Request: file is too big")
        size = len(self.files[key])
        return {
            "file_id": key,
            "file_unique_id": key,
            "file_path": f"files/{key}",
            "file_size": size,
        }

    async def _answer(self, path: str, body: str) -> tuple[int, dict[str, Any]]:
        parts = urllib.parse.urlsplit(path)
        match = re.fullmatch(r"/bot([^/]+)/(\w+)", parts.path)
        params: Params = dict(urllib.parse.parse_qsl(f"{parts.query}&{body}"))
        try:
            if match is None or match[1] != TOKEN:
                raise Refusal(401, "Unauthorized")
            method = match[2].lower()
            self.calls.append((method, params))
            if self._failures[method]:
                raise self._failures[method].popleft()
            handler = getattr(self, f"_do_{method}", None)
            result = await handler(params) if handler else True
            return 200, {"ok": True, "result": result}
        except Refusal as refusal:
            answer: dict[str, Any] = {
                "ok": False,
                "error_code": refusal.code,
                "description": refusal.description,
            }
            if refusal.retry_after is not None:
                answer["parameters"] = {"retry_after": refusal.retry_after}
            return refusal.code, answer

    async def _do_getme(self, params: Params) -> Any:
        return BOT

    async def _do_getupdates(self, params: Params) -> Any:
        offset, wait_s = int(params.get("offset") or 0), float(params.get("timeout") or 0)
        self.offsets.append(offset)
        self._poll += 1
        mine = self._poll
        until = self._loop.time() + min(wait_s, MAX_POLL_S)
        self._changed.set()
        while True:
            with self._lock:
                self.updates = [each for each in self.updates if each["update_id"] >= offset]
                ready = self.updates[: int(params.get("limit") or 100)]
            if ready or self._loop.time() >= until:
                return ready
            self._changed.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._changed.wait()
            except TimeoutError:
                return []
            if self._poll != mine:
                self.conflicts += 1
                raise Refusal(409, "Conflict: terminated by other getUpdates request")

    async def _do_sendmessage(self, params: Params) -> Any:
        chat = int(params["chat_id"])
        text = self._text(chat, params)
        with self._lock:
            self._next_message += 1
            keys = _buttons(params)
            message = BotMessage(self._next_message, chat, params["text"], text, keys)
            self.messages.append(message)
        message.note(text)
        return self._shown(message)

    async def _do_editmessagetext(self, params: Params) -> Any:
        chat = int(params["chat_id"])
        text = self._text(chat, params)
        key = int(params["message_id"])
        message = next((each for each in self.of(chat) if each.id == key), None)
        if message is None:
            raise Refusal(400, "Bad Request: message to edit not found")
        keys = _buttons(params)
        if (message.text, message.buttons, message.html) == (text, keys, params["text"]):
            raise Refusal(400, "Bad Request: message is not modified")
        message.html, message.text, message.buttons = params["text"], text, keys
        message.note(text)
        return self._shown(message)

    async def _do_answercallbackquery(self, params: Params) -> Any:
        self.acknowledged.append(params.get("text") or "")
        return True

    async def _do_leavechat(self, params: Params) -> Any:
        self.left.append(int(params["chat_id"]))
        return True

    def _text(self, chat: int, params: Params) -> str:
        """The text that a message shows. Raises Refusal."""
        if chat in self.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        self._count(chat)
        source = params.get("text") or ""
        text = shown_text(source) if params.get("parse_mode") == "HTML" else source
        if not text.strip():
            raise Refusal(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > 4096:
            raise Refusal(400, "Bad Request: message is too long")
        return text

    def _count(self, chat: int) -> None:
        """Counts a call: twenty a minute and a short burst in a chat, thirty a second over all."""
        now = self._loop.time()
        for times, span_s, most, name in (
            (self._times[chat], 3.0, 4, f"chat {chat}"),
            (self._all, 1.0, 30, "all chats"),
        ):
            while times and times[0] < now - span_s:
                times.popleft()
            times.append(now)
            if len(times) > most:
                self.too_fast.append(name)
                if self._enforce:
                    raise Refusal(429, "Too Many Requests: retry after 3", 3)

    def _shown(self, message: BotMessage) -> dict[str, Any]:
        return {
            "message_id": message.id,
            "date": int(time.time()),
            "chat": {"id": message.chat, "type": "private", "first_name": "Иван"},
            "from": BOT,
            "text": message.text,
        }


def _buttons(params: Params) -> list[dict[str, str]]:
    markup = json.loads(params.get("reply_markup") or "{}")
    return [key for row in markup.get("inline_keyboard", []) for key in row]
