"""A scripted LDAP server: everything that came is on record, everything it says can be wrong."""

import contextlib
import socket
import ssl
import threading
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.fakes import ldap_wire as wire
from tests.fakes.certificates import Certificate
from tests.fakes.ldap_wire import Bind, Person, Search

SUFFIX = "dc=fake,dc=test"
PEOPLE = f"ou=people,{SUFFIX}"
SERVICE_DN, SERVICE_PASSWORD = f"cn=assistant,{SUFFIX}", "service: reads only 7"
PASSWORD = "Ключ: от сейфа 8"


@dataclass(frozen=True)
class Result:
    """A result code in place of the real answer."""

    code: int
    text: str = ""
    referral: str = ""
    control: tuple[str, bytes] | None = None


@dataclass(frozen=True)
class Delay:
    """The right answer, late."""

    seconds: float


@dataclass(frozen=True)
class Hang:
    """No answer, until the client or the server ends."""


@dataclass(frozen=True)
class Raw:
    """These bytes in place of an answer, then nothing, or the end."""

    data: bytes
    then_close: bool = False


Step = Result | Delay | Hang | Raw


class LdapServer:
    """One controller with a service account and the people added to it.

    `steps` tells how to answer an operation: "bind", "search", "start_tls"; "user bind" is a bind
    that is not the service account's.

    Args:
        certificate: speaks TLS: at once, or with `start_tls` when asked to.
    """

    def __init__(
        self, certificate: Certificate | None = None, *, start_tls: bool = False, ad: bool = False
    ) -> None:
        self.people: list[Person] = []
        self.references: list[str] = []  # come along with every search below the suffix
        self.accepts_empty_passwords = False
        self.steps: dict[str, Step] = {}
        self.binds: list[Bind] = []
        self.searches: list[Search] = []
        self.clear_bytes = b""  # all that came outside TLS
        self.connections = 0
        self._ad = ad
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate.cert, certificate.key)
        self._start_tls = start_tls
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._came = threading.Condition()
        self._links: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        secure = self._tls is not None and not self._start_tls
        return f"{'ldaps' if secure else 'ldap'}://127.0.0.1:{self.port}"

    def settings(self, **overrides: object) -> dict[str, Any]:
        """The settings that name this directory."""
        return {
            "ldap_urls": (self.url,),
            "ldap_bind_dn": SERVICE_DN,
            "ldap_bind_password": SERVICE_PASSWORD,
            "ldap_user_base": PEOPLE,
            **overrides,
        }

    def add(self, uid: str, cn: str = "", **attributes: str | bytes) -> Person:
        """A person with PASSWORD; `ad=True` servers hold them by sAMAccountName."""
        own: dict[str, str | bytes] = {"cn": cn or uid, "objectClass": "person"}
        identity = uuid.uuid4()
        if self._ad:
            own |= {"objectGUID": identity.bytes_le, "sAMAccountName": uid}
            own |= {"objectCategory": "person", "userPrincipalName": f"{uid}@fake.test"}
            own |= {"objectClass": "user", "userAccountControl": "512"}
        else:
            own |= {"entryUUID": str(identity), "uid": uid}
        own |= attributes
        values = {
            name: [value if isinstance(value, bytes) else value.encode()]
            for name, value in own.items()
        }
        person = Person(f"cn={cn or uid},{PEOPLE}", PASSWORD.encode(), values)
        self.people.append(person)
        return person

    @property
    def user_binds(self) -> list[Bind]:
        """All but the service account's."""
        return [bind for bind in self.binds if bind.dn != SERVICE_DN]

    def wait_for_binds(self, count: int) -> None:
        """Blocks until so many came; TimeoutError when they do not."""
        with self._came:
            if not self._came.wait_for(lambda: len(self.binds) >= count, timeout=60):
                raise TimeoutError

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for link in self._links:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(link, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _begin(self, target: Any, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                self.connections += 1
                self._begin(self._serve, link)

    def _serve(self, link: socket.socket) -> None:
        try:
            link = self._hold(link)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None and not self._start_tls:
                link = self._encrypt(link)
            while (message := wire.read_message(link)) is not None:
                if not isinstance(link, ssl.SSLSocket):
                    self.clear_bytes += message.body
                if message.kind == wire.BIND:
                    self._on_bind(link, message)
                elif message.kind == wire.SEARCH:
                    self._on_search(link, message)
                elif message.kind == wire.EXTENDED:
                    link = self._on_start_tls(link, message)
                else:
                    break
        except (OSError, ValueError, IndexError):  # gone, or what came is no LDAP
            pass
        finally:
            with self._lock:
                self._links.discard(link)
            link.close()

    def _on_start_tls(self, link: socket.socket, message: wire.Message) -> socket.socket:
        if self._step(link, message.number, "extendedResp", "start_tls"):
            return link
        if self._tls is None:
            link.sendall(wire.response(message.number, "extendedResp", 2))
            return link
        link.sendall(wire.response(message.number, "extendedResp", 0))
        return self._encrypt(link)

    def _on_bind(self, link: socket.socket, message: wire.Message) -> None:
        number = message.number
        bind = wire.bind_of(message, encrypted=isinstance(link, ssl.SSLSocket))
        with self._came:
            self.binds.append(bind)
            self._came.notify_all()
        names = ("bind",) if bind.dn == SERVICE_DN else ("user bind", "bind")
        if self._step(link, number, "bindResponse", *names):
            return
        known = {person.dn: person.password for person in self.people}
        known[SERVICE_DN] = SERVICE_PASSWORD.encode()
        empty = self.accepts_empty_passwords and not bind.password
        good = empty or known.get(bind.dn) == bind.password
        link.sendall(wire.response(number, "bindResponse", 0 if good else 49))

    def _on_search(self, link: socket.socket, message: wire.Message) -> None:
        number, search = message.number, wire.search_of(message)
        if search.base == "":
            capability = [b"1.2.840.113556.1.4.800"] if self._ad else []
            values = {"supportedCapabilities": capability, "namingContexts": [SUFFIX.encode()]}
            link.sendall(wire.entry(number, Person("", b"", values)))
            link.sendall(wire.response(number, "searchResDone", 0))
            return
        self.searches.append(search)
        if self._step(link, number, "searchResDone", "search"):
            return
        found = [
            each
            for each in self.people
            if wire.is_in_scope(search, each) and wire.is_met(search.condition, each)
        ]
        for person in found:
            link.sendall(wire.entry(number, person))
        if self.references:
            link.sendall(wire.reference(number, self.references))
        link.sendall(wire.response(number, "searchResDone", 0))

    def _step(self, link: socket.socket, number: int, kind: str, *names: str) -> bool:
        """Answer as scripted. False: go on and answer rightly."""
        step = next((self.steps[name] for name in names if name in self.steps), None)
        match step:
            case None:
                return False
            case Delay(seconds):
                self._closing.wait(seconds)
                return False
            case Hang():
                self._closing.wait()
            case Raw(data, then_close):
                link.sendall(data)
                if then_close:
                    raise OSError("as scripted")
            case Result(code, text, referral, control):
                link.sendall(
                    wire.response(number, kind, code, text, referral=referral, control=control)
                )
        return True

    def _hold(self, link: socket.socket) -> socket.socket:
        with self._lock:
            self._links.add(link)
            if self._closing.is_set():
                raise OSError("closing")
        return link

    def _encrypt(self, link: socket.socket) -> socket.socket:
        assert self._tls is not None
        try:
            encrypted = self._tls.wrap_socket(link, server_side=True, do_handshake_on_connect=False)
        finally:
            with self._lock:
                self._links.discard(link)
        self._hold(encrypted)
        try:
            encrypted.do_handshake()
        except OSError:
            with self._lock:
                self._links.discard(encrypted)
            encrypted.close()
            raise
        return encrypted


class BlackHole:
    """A port behind which packets vanish: its queue is full, and nobody takes from it."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._fillers = [socket.socket() for _ in range(4)]
        for filler in self._fillers:
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", self.port))
        self.url = f"ldap://127.0.0.1:{self.port}"

    def close(self) -> None:
        for link in (*self._fillers, self._listener):
            link.close()
