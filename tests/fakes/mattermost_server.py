"""A Mattermost server for tests: the parts of its REST API (v4) and of its websocket that a bot
uses, over real sockets, in a thread of its own.

It refuses what the real one refuses a bot: a wrong token, posts of others, posts that are too long
or were deleted, chats without the bot. Websocket events are numbered, and kept for nobody.
"""

import asyncio
import json
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

TOKEN = "bot-token-of-the-fake"
MAX_POST_CHARS = 16_383


@dataclass(slots=True)
class Call:
    """A call of the REST API. `mono`: when, by the steady clock."""

    method: str
    path: str
    body: dict[str, Any]
    mono: float
    status: int = 0


@dataclass(slots=True)
class _Failure:
    status: int
    headers: dict[str, str]
    paths: str


@dataclass(slots=True)
class _Listener:
    socket: web.WebSocketResponse
    seq: int = 0


@dataclass(slots=True)
class _Stored:
    """What the server keeps, by id."""

    people: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    channels: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    posts: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])


class FakeMattermost:
    """The server; a context manager. Its methods are for the test's thread."""

    def __init__(self, *, max_post_chars: int = MAX_POST_CHARS) -> None:
        self.url = ""
        self.max_post_chars = max_post_chars
        self.calls: list[Call] = []
        self.files: dict[str, bytes] = {}
        self.deaf = False  # refuses websockets
        self.bot = _person("genai", is_bot=True)
        self._kept = _Stored(people={self.bot["id"]: self.bot})
        self._listeners: list[_Listener] = []
        self._failures: deque[_Failure] = deque()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="mattermost", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def listeners(self) -> int:
        """How many bots are logged in at the websocket."""
        return len(self._listeners)

    def add_person(self, name: str, **fields: Any) -> str:
        """Adds an account and its chat with the bot. Returns its id."""
        person = _person(name) | fields
        self._kept.people[person["id"]] = person
        self._add_channel(f"dm-{person['id']}", "D")
        return person["id"]

    def add_group(self) -> str:
        """Adds a channel of several with the bot in it. Returns its id."""
        return self._add_channel(uuid.uuid4().hex, "O")

    def chat_of(self, person_id: str) -> str:
        """Returns the id of a person's chat with the bot."""
        return f"dm-{person_id}"

    def say(self, person_id: str, text: str, *, channel: str = "", **fields: Any) -> str:
        """Writes a post as a person. Returns its id."""
        post = self._post(person_id, channel or self.chat_of(person_id), text) | fields
        self._in_loop(self._publish_post("posted", post))
        return post["id"]

    def send(self, person_id: str, text: str, *files: tuple[str, bytes]) -> str:
        """Writes a post with files as a person. Returns its id."""
        described: list[dict[str, Any]] = []
        for name, data in files:
            key = uuid.uuid4().hex
            self.files[key] = data
            described.append({"id": key, "name": name, "size": len(data)})
        metadata = {"reactions": [], "files": described}
        keys = [each["id"] for each in described]
        return self.say(person_id, text, file_ids=keys, metadata=metadata)

    def change(self, post_id: str, text: str) -> None:
        """Edits a person's post."""
        post = self._kept.posts[post_id]
        post |= {"message": text, "edit_at": _now_ms(), "update_at": _now_ms()}
        self._in_loop(self._publish_post("post_edited", post))

    def react(self, person_id: str, post_id: str, emoji: str) -> None:
        """Clicks on an emoji below a post."""
        self._in_loop(self._react(person_id, post_id, emoji))

    def delete(self, post_id: str) -> None:
        """Deletes a post, as its reader may."""
        self._kept.posts[post_id]["delete_at"] = _now_ms()

    def close_chat(self, person_id: str) -> None:
        """Removes a person's account with the chat."""
        del self._kept.channels[self.chat_of(person_id)]

    def shown_to(self, person_id: str) -> list[dict[str, Any]]:
        """Returns the bot's posts in a person's chat, oldest first."""
        chat = self.chat_of(person_id)
        posts = [each for each in self._kept.posts.values() if each["channel_id"] == chat]
        return [each for each in posts if each["user_id"] == self.bot["id"]]

    def fail_next(
        self, status: int, count: int = 1, *, paths: str = "/posts", **headers: str
    ) -> None:
        """Refuses the next calls of paths that begin so."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._failures.extend([_Failure(status, named, paths)] * count)

    def drop_listeners(self) -> None:
        """Cuts all websockets."""
        self._in_loop(self._drop())

    def lose_event(self) -> None:
        """Counts an event that nobody gets."""
        for listener in self._listeners:
            listener.seq += 1

    def _in_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/api/v4/websocket", self._listen)
        app.router.add_route("*", "/api/v4/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None  # pyright: ignore[reportPrivateUsage]
        port = site._server.sockets[0].getsockname()[1]  # pyright: ignore
        self.url = f"http://127.0.0.1:{port}"
        self._ready.set()
        await self._stop.wait()
        await self._drop()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        path = f"/{request.match_info['path']}"
        body: dict[str, Any] = json.loads(await request.read() or "{}")
        call = Call(request.method, path, body, time.monotonic())
        self.calls.append(call)
        if path.startswith("/files/") and not self._failures:
            return web.Response(body=self.files[path.rpartition("/")[2]])
        status, answer, headers = self._planned(path)
        if not status:
            status, answer = await self._handled(request, call)
        call.status = status
        return web.json_response(answer, status=status, headers=headers)

    def _planned(self, path: str) -> tuple[int, Any, dict[str, str]]:
        if self._failures and path.startswith(self._failures[0].paths):
            failure = self._failures.popleft()
            return failure.status, {"message": "planned"}, failure.headers
        return 0, None, {}

    async def _handled(self, request: web.Request, call: Call) -> tuple[int, Any]:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"id": "api.context.session_expired.app_error"}
        match (call.method, *call.path.strip("/").split("/")):
            case ("GET", "config", "client"):
                return 200, {"MaxPostSize": str(self.max_post_chars)}
            case ("GET", "users", "me"):
                return 200, self.bot
            case ("GET", "users", user_id):
                return _found(self._kept.people, user_id)
            case ("GET", "users", _, "channels"):
                return 200, list(self._kept.channels.values())
            case ("GET", "channels", channel_id):
                return _found(self._kept.channels, channel_id)
            case ("GET", "channels", channel_id, "posts"):
                return 200, self._posts_since(channel_id, int(request.query["since"]))
            case ("DELETE", "channels", channel_id, "members", _):
                return 200, {"status": "OK", "left": self._kept.channels.pop(channel_id, None)}
            case ("GET", "posts", post_id):
                return self._seen(post_id)
            case ("POST", "posts"):
                return await self._created(call.body)
            case ("PUT", "posts", post_id, "patch"):
                return await self._patched(post_id, call.body)
            case ("POST", "reactions"):
                body = call.body
                await self._react(body["user_id"], body["post_id"], body["emoji_name"])
                return 201, body
            case ("DELETE", "users", user_id, "posts", post_id, "reactions", emoji):
                return self._unreacted(user_id, post_id, emoji)
            case _:
                return 501, {"message": f"unknown: {call.method} {call.path}"}

    async def _created(self, body: dict[str, Any]) -> tuple[int, Any]:
        if body["channel_id"] not in self._kept.channels:
            return 403, {"id": "api.context.permissions.app_error"}
        if not 0 < len(body["message"]) <= self.max_post_chars:
            return 400, {"id": "model.post.is_valid.message_length.app_error"}
        post = self._post(self.bot["id"], body["channel_id"], body["message"])
        post["props"] = body.get("props") or {}
        await self._publish_post("posted", post)
        return 201, post

    async def _patched(self, post_id: str, body: dict[str, Any]) -> tuple[int, Any]:
        post = self._kept.posts.get(post_id)
        if post is None or post["delete_at"]:
            return 404, {"id": "app.post.get.app_error"}
        if post["user_id"] != self.bot["id"]:
            return 403, {"id": "api.context.permissions.app_error"}
        if not 0 < len(body["message"]) <= self.max_post_chars:
            return 400, {"id": "model.post.is_valid.message_length.app_error"}
        post |= {"message": body["message"], "edit_at": _now_ms(), "update_at": _now_ms()}
        post["props"] = body.get("props") or post["props"]
        await self._publish_post("post_edited", post)
        return 200, post

    def _seen(self, post_id: str) -> tuple[int, Any]:
        post = self._kept.posts.get(post_id)
        return (404, {}) if post is None or post["delete_at"] else (200, post)

    def _unreacted(self, user_id: str, post_id: str, emoji: str) -> tuple[int, Any]:
        post = self._kept.posts.get(post_id)
        reactions = post["metadata"]["reactions"] if post is not None else []
        mine = [
            each for each in reactions if (each["user_id"], each["emoji_name"]) == (user_id, emoji)
        ]
        for each in mine:
            reactions.remove(each)
        return (200, {"status": "OK"}) if mine else (404, {"id": "app.reaction.not_found"})

    async def _react(self, user_id: str, post_id: str, emoji: str) -> None:
        post, now = self._kept.posts[post_id], _now_ms()
        reaction = {
            "user_id": user_id,
            "post_id": post_id,
            "emoji_name": emoji,
            "create_at": now,
        }
        reactions = post["metadata"]["reactions"]
        if any(each["user_id"] == user_id and each["emoji_name"] == emoji for each in reactions):
            return
        reactions.append(reaction)
        post["update_at"] = now
        await self._publish("reaction_added", {"reaction": json.dumps(reaction)})

    def _post(self, user_id: str, channel_id: str, text: str) -> dict[str, Any]:
        now = _now_ms()
        post: dict[str, Any] = {
            "id": uuid.uuid4().hex,
            "create_at": now,
            "update_at": now,
            "edit_at": 0,
            "delete_at": 0,
            "user_id": user_id,
            "channel_id": channel_id,
            "message": text,
            "type": "",
            "props": {},
            "metadata": {"reactions": []},
        }
        self._kept.channels[channel_id]["last_post_at"] = now
        self._kept.posts[post["id"]] = post
        return post

    def _posts_since(self, channel_id: str, since: int) -> dict[str, Any]:
        posts = reversed(self._kept.posts.values())
        found = [p for p in posts if p["channel_id"] == channel_id and p["update_at"] >= since]
        found.sort(key=lambda post: post["create_at"], reverse=True)
        return {"order": [p["id"] for p in found], "posts": {p["id"]: p for p in found}}

    def _add_channel(self, channel_id: str, kind: str) -> str:
        self._kept.channels[channel_id] = {"id": channel_id, "type": kind, "last_post_at": 0}
        return channel_id

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        if self.deaf:
            return web.Response(status=502)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        listener: _Listener | None = None
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            asked = json.loads(message.data)
            if asked["data"].get("token") != TOKEN:
                await socket.send_json({"status": "FAIL", "seq_reply": asked["seq"]})
                break
            listener = _Listener(socket)
            self._listeners.append(listener)
            await self._send(listener, "hello", {"server_version": "11.0.0"})
            await socket.send_json({"status": "OK", "seq_reply": asked["seq"]})
        if listener in self._listeners:
            self._listeners.remove(listener)
        await socket.close()
        return socket

    async def _publish_post(self, event: str, post: dict[str, Any]) -> None:
        channel = self._kept.channels[post["channel_id"]]
        data = {"post": json.dumps(post)}
        if event == "posted":
            sender = self._kept.people[post["user_id"]]["username"]
            data |= {"channel_type": channel["type"], "sender_name": f"@{sender}"}
        await self._publish(event, data)

    async def _publish(self, event: str, data: dict[str, Any]) -> None:
        for listener in list(self._listeners):
            await self._send(listener, event, data)

    async def _send(self, listener: _Listener, event: str, data: dict[str, Any]) -> None:
        seq, listener.seq = listener.seq, listener.seq + 1
        await listener.socket.send_json({"event": event, "data": data, "seq": seq})

    async def _drop(self) -> None:
        for listener in list(self._listeners):
            await listener.socket.close()
        self._listeners.clear()


def _person(name: str, *, is_bot: bool = False) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "username": name, "locale": "ru", "is_bot": is_bot}


def _found(rows: dict[str, dict[str, Any]], key: str) -> tuple[int, Any]:
    return (200, rows[key]) if key in rows else (404, {"id": "store.not_found"})


def _now_ms() -> int:
    return round(time.time() * 1000)
