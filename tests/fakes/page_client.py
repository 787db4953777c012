"""A browser tab without a browser: the socket that Reflex's own page opens, spoken by hand.

async with PageClient(app.url) as page:
    await page.log_in("alice", PASSWORDS["alice"])
    await page.open("/")
    answer = await page.ask("Hello")
"""

import asyncio
import json
import re
import ssl
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from yarl import URL

from tests.fakes.handlers import full_name, state_name

SPACE = "/_event"
MARK = "_rx_state_"
SUBPROTOCOL = "0.10.1"
TIMEOUT_S = 60.0  # only ends what hangs
_SURROGATE = re.compile("[\ud800-\udfff]")
FINAL = ("complete", "truncated", "stopped", "interrupted", "failed")


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of the server, as it came. `moment`: the event loop's time."""

    text: str
    moment: float


def to_json(value: object) -> str:
    """As JavaScript writes it: characters as they are, lone surrogates escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class PageClient:
    """One tab: cookies, the tab's token and storage, one socket at a time.

    Args:
        url: the product's address; also the Origin, unless `origin` is given ("" sends none).
        jar: cookies shared with another tab of the same browser.
        redirected: whether the page goes where the server sends it.
        trust: for https, whose certificates are good.
    """

    def __init__(
        self,
        url: str,
        *,
        origin: str | None = None,
        jar: aiohttp.CookieJar | None = None,
        redirected: bool = True,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url
        self.redirected = redirected
        self.origin = url if origin is None else origin
        self.jar = jar or aiohttp.CookieJar(unsafe=True)  # unsafe: cookies of IP addresses too
        self.token = str(uuid.uuid4())
        self.path = "/"
        self.state: dict[str, dict[str, Any]] = {}
        self.frames: list[Frame] = []
        self.redirects: list[str] = []
        self.events: list[dict[str, Any]] = []  # what the server told the page to do
        self.committed = 0  # questions that it heard to be committed: its composer is empty then
        self.grown: list[str] = []  # the growing answer after each frame that changed it
        self.closed = True
        self.close_code: int | None = None
        self._kept_send_id = ""
        self._sidebar: list[bool] = []  # whether it is open, after each frame that says so
        self._http = aiohttp.ClientSession(
            cookie_jar=self.jar, connector=aiohttp.TCPConnector(ssl=trust or True)
        )
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._connected = False

    async def log_in(self, username: str, password: str, **form: str) -> str:
        """Post the login form. Returns where it sends the browser."""
        data = {"username": username, "password": password, **form}
        async with self.http("POST", "/login", data=data) as answer:
            assert answer.status == 303, answer.status
            return answer.headers["location"]

    async def log_out(self) -> None:
        async with self.http("POST", "/logout") as answer:
            assert answer.status == 303, answer.status

    def http(self, method: str, path: str, **options: Any):
        """A request with this browser's cookies and its page's Origin; no redirect is followed."""
        headers = {"Origin": self.origin} | options.pop("headers", {})
        return self._http.request(
            method, self.url + path, headers=headers, allow_redirects=False, **options
        )

    @property
    def cookie(self) -> str:
        """The value of the session cookie; "" without one."""
        return next((c.value for c in self.jar if c.key == "genai_session"), "")

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.jar.update_cookies({"genai_session": value}, URL(self.url))

    async def open(self, path: str = "/", *, wait: bool = True) -> None:
        """Load the page at `path`: a new socket, as at a reload, until its on_load has run."""
        await self.drop()
        self.path = path
        self.state = {}
        self.redirects.clear()
        self.grown.clear()
        vars_sent = {}
        if self._send_id:
            vars_sent[f"{state_name('chat_state')}.send_id{MARK}"] = self._send_id
        boot = {
            "name": full_name("state.hydrate_and_load"),
            "payload": {"vars": vars_sent} if vars_sent else {},
            "router_data": self._router_data(),
        }
        await self.connect({"event": boot})
        if wait:
            await self.wait_for(lambda: self.redirects or self.view("state").get("is_hydrated"))

    async def connect(self, auth: dict[str, Any]) -> None:
        """Open a socket with this CONNECT packet. ConnectionError when it is refused."""
        headers = {"Origin": self.origin} if self.origin else {}
        query = {"token": self.token, "EIO": "4", "transport": "websocket"}
        try:
            self._socket = await self._http.ws_connect(
                f"{self.url}{SPACE}/",
                params=query,
                headers=headers,
                protocols=(SUBPROTOCOL,),
                max_msg_size=0,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise ConnectionError(f"handshake refused: {error.status}") from error
        self.closed, self.close_code, self._connected = False, None, False
        self._receiving = asyncio.create_task(self._receive(self._socket))
        await self._socket.send_str(f"40{SPACE},{json.dumps(auth)}")
        await self.wait_for(lambda: self._connected)

    async def drop(self) -> None:
        """Close the socket, as when the tab goes away. The tab's token and storage stay."""
        if self._socket is not None:
            await self._socket.close()
        if self._receiving is not None:
            self._receiving.cancel()
            with suppress(asyncio.CancelledError):
                await self._receiving
        self._socket = self._receiving = None

    async def send_event(self, name: str, /, **payload: Any) -> None:
        """Calls a handler: `conversation_state.send` or a full name. Returns once it is sent."""
        await self.emit(full_name(name), payload)

    async def emit(self, name: str, payload: object, **more: object) -> None:
        """An event whose name and payload may be anything."""
        event = {"name": name, "payload": payload, "router_data": self._router_data(), **more}
        await self.send_raw(f"42{SPACE},{to_json(['event', event])}")

    async def send_raw(self, packet: str) -> None:
        """Any text as one frame."""
        assert self._socket is not None
        await self._socket.send_str(packet)

    async def round_trip(self) -> float:
        """Seconds until an event that changes something is answered; earlier ones are done then."""
        loop = asyncio.get_running_loop()
        before, begin = bool(self.view("ui_state").get("sidebar_open")), loop.time()
        count = len(self._sidebar)
        await self.send_event("ui_state.toggle_sidebar")
        # a page that opens closes the sidebar, maybe before this task looks again
        await self.wait_for(lambda: (not before) in self._sidebar[count:])
        return loop.time() - begin

    async def wait_for(self, test: Callable[[], Any], within_s: float = TIMEOUT_S) -> Any:
        """The first true value of `test`, asked at every frame.

        Raises:
            ConnectionError: the socket closed before. TimeoutError: it never came.
        """
        async with asyncio.timeout(within_s):
            while not (value := test()):
                if self.closed:
                    raise ConnectionError(f"the socket is closed: {self.close_code}")
                self._changed.clear()
                await self._changed.wait()
        return value

    async def wait_closed(self, within_s: float = TIMEOUT_S) -> None:
        """Returns when the server has closed the socket."""
        assert self._receiving is not None
        async with asyncio.timeout(within_s):
            await asyncio.shield(self._receiving)

    def view(self, state: str) -> dict[str, Any]:
        """The vars of a State: `chat_state`."""
        return self.state.setdefault(state_name(state), {})

    @property
    def dialog_id(self) -> str:
        return self.view("chat_state").get("dialog_id", "")

    @property
    def error_code(self) -> str:
        return self.view("chat_state").get("error_code", "")

    def messages(self) -> list[dict[str, Any]]:
        """The rows of the dialog on the screen."""
        return self.view("chat_state").get("messages", [])

    def earlier(self) -> list[dict[str, Any]]:
        """The rows above those of `messages`, from the top."""
        parts = self.view("earlier_state")
        names = [f"{kind}_{number}" for kind in ("far", "near") for number in range(60)]
        return [row for name in names for row in parts.get(name, [])]

    def titles(self) -> list[str]:
        """The dialogs by day in the sidebar."""
        sidebar = self.view("dialogs_state")
        parts = [sidebar.get(f"part_{number}", []) for number in range(100)]
        groups = [group for part in parts for group in part]
        return [dialog["title"] for group in groups for dialog in group["dialogs"]]

    def live_text(self) -> str:
        """The growing answer, as far as the page draws it."""
        slots = self.view("stream_state")
        order = [f"block_{i}" for i in range(48)] + [f"piece_{i}" for i in range(12)] + ["tail"]
        return "".join(slots.get(name, "") for name in order)

    def live_reasoning(self) -> str:
        """The reasoning of the growing answer, as far as the page has it."""
        slots = self.view("stream_state")
        names = [*(f"thought_{i}" for i in range(10)), "thought_tail"]
        return "".join(slots.get(name, "") for name in names)

    @property
    def running(self) -> bool:
        return bool(self.messages()) and self.messages()[-1]["status"] not in FINAL

    async def send(self, text: str, *, send_id: str = "") -> None:
        """Submit the composer, as the page does it. Returns when the event is on its way."""
        length = len(text.encode("utf-16-le", "surrogatepass")) // 2  # as JavaScript counts
        await self.send_event(
            "conversation_state.send", text=text, length=length, send_id=send_id or self._send_id
        )

    async def ask(self, text: str, within_s: float = TIMEOUT_S) -> dict[str, Any]:
        """Send a question and wait for the end of its answer. Returns the answer's row."""
        await self.begin(text, within_s)
        await self.wait_for(lambda: not self.running, within_s)
        return self.messages()[-1]

    async def begin(self, text: str, within_s: float = TIMEOUT_S) -> dict[str, Any]:
        """Send a question and wait until it stands on the page. Returns the answer's row."""
        before = self.messages()[-1]["id"] if self.messages() else ""
        await self.send(text)
        await self.wait_for(
            lambda: self.messages() and self.messages()[-1]["id"] != before, within_s
        )
        return self.messages()[-1]

    @property
    def _send_id(self) -> str:
        return self.view("chat_state").get("send_id", "") or self._kept_send_id

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                if message.data == "2":
                    await socket.send_str("3")
                else:
                    await self._take(str(message.data))
                self._changed.set()
        finally:
            self.closed, self.close_code = True, socket.close_code
            self._changed.set()

    async def _take(self, packet: str) -> None:
        self.frames.append(Frame(packet, asyncio.get_running_loop().time()))
        kind, body = packet[:2], packet[2:].removeprefix(f"{SPACE},")
        if kind == "40":
            self._connected = True
        elif kind in ("41", "44"):
            assert self._socket is not None
            await self._socket.close()
        elif kind == "42":
            name, *data = json.loads(body)
            if name == "event":
                await self._update(data[0])
            elif name == "new_token":
                self.token = data[0]
            else:
                self.events.append({"name": name, "payload": data})

    async def _update(self, update: dict[str, Any]) -> None:
        for state, changes in (update.get("delta") or {}).items():
            known = self.state.setdefault(state, {})
            known.update({name.removesuffix(MARK): value for name, value in changes.items()})
            if state == state_name("ui_state") and "sidebar_open" in known:
                self._sidebar.append(bool(known["sidebar_open"]))
            if state == state_name("stream_state"):
                self.grown.append(self.live_text())
        # the tab's sessionStorage outlives its sockets
        before, self._kept_send_id = self._kept_send_id, self._send_id
        self.committed += before not in ("", self._send_id)
        for event in update.get("events") or []:
            self.events.append(event)
            if event["name"] == "_redirect":
                await self._go(str(event["payload"]["path"]))

    async def _go(self, path: str) -> None:
        """The page's router: another page of the same tab, on the same socket."""
        self.redirects.append(path)
        if self.redirected and path.startswith("/"):
            await self.navigate(path)

    async def navigate(self, path: str) -> None:
        """Sends what the page sends for a new address: a link, back, forward. Does not wait."""
        self.path = path
        await self.send_event("on_load_internal_state.on_load_internal")

    def _router_data(self) -> dict[str, Any]:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        found = {"pathname": parts.path, "asPath": self.path}
        return found | ({"query": query} if query else {})

    async def aclose(self) -> None:
        await self.drop()
        await self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
