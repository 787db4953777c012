"""A connection to one controller of the directory: TLS, deadlines, binds and searches.

The only module that imports ldap3, which has no types and lets errors of all kinds through
(OSError, IndexError, KeyError, struct.error, errors of pyasn1): they become `ControllerFailed`. Its
own sockets and TLS are not used: on Python 3.12 and later they do not check the IP address of a
certificate, and their timeouts are whole seconds that start again with every byte received.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import ldap3  # pyright: ignore[reportMissingTypeStubs]
from ldap3.core.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    LDAPAttributeError,
    LDAPInvalidFilterError,
    LDAPObjectClassError,
)

from genai_app.adapters.directory.deadline import TimedSocket, TimeLimit
from genai_app.adapters.directory.entries import Entry
from genai_app.errors import DirectoryUnavailable, SettingsError

CONNECT_TIMEOUT_S = 1.5
ANSWER_TIMEOUT_S = 4.0
MAX_ANSWER_BYTES = 8_000_000  # of one operation; ldap3 itself sets no limit

START_TLS = "1.3.6.1.4.1.1466.20037"
PASSWORD_POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"  # noqa: S105  # the name of a control
BUSY, UNAVAILABLE = 51, 52

_ldap3: Any = ldap3


class ControllerFailed(Exception):
    """Raised when this controller does not serve; another one may. The text begins with a cause
    word: `timeout`, `refused`, `closed`, `garbled`, `tls`, `busy`, `unavailable`, `network`."""

    @property
    def cause(self) -> str:
        return str(self)


class CertificateRefused(ControllerFailed):
    """Raised when the controller's certificate is not valid for its name or not valid now.

    Args:
        verify_code: OpenSSL's code, X509_V_ERR_...
    """

    def __init__(self, cause: str, verify_code: int) -> None:
        super().__init__(cause)
        self.verify_code = verify_code


class StartTlsRefused(ControllerFailed):
    """Raised when the controller does not offer StartTLS."""


@dataclass(frozen=True, slots=True)
class Controller:
    """An address of one of the directory's servers."""

    url: str  # as it stands in the settings
    host: str  # the name that its certificate must contain
    family: int
    address: tuple[Any, ...]
    secure: bool  # ldaps
    start_tls: bool

    @property
    def label(self) -> str:
        """The controller's URL and address, for the log."""
        return f"{self.url} ({self.address[0]})"


@dataclass(frozen=True, slots=True)
class BindAnswer:
    """A controller's answer to a name and a password."""

    code: int
    message: str
    policy: bytes | None  # value of the password policy control, if the server sends one


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search. References to other servers are left out of `entries`."""

    code: int
    description: str
    message: str
    entries: list[Entry]

    def expect(self, what: str, *, codes: Sequence[int] = (0,)) -> list[Entry]:
        """Returns the entries.

        Raises:
            DirectoryUnavailable: `what: ...`, for any result code that is not in `codes`.
        """
        if self.code not in codes:
            raise DirectoryUnavailable(f"{what}: {self.description} {self.message}"[:300].strip())
        return self.entries


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Returns the TLS rules of all connections: a certificate for the host's name or address,
    signed by the authority in `ca_file`, without a file by one of the system's; TLS 1.2 or later.

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError(f"GENAI_LDAP_CA_FILE: cannot be read: {reason}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # By default Python 3.13 refuses the form of many companies' own certificates, and accepts an
    # intermediate one as an anchor. These flags make all versions behave alike.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def connect(controller: Controller, limit: TimeLimit) -> socket.socket:
    """Opens a connection and registers it with `limit`. Nothing is sent.

    Raises:
        ControllerFailed, TimeIsUp
    """
    link = socket.socket(controller.family, socket.SOCK_STREAM)
    limit.hold(link)
    try:
        link.settimeout(min(CONNECT_TIMEOUT_S, limit.left_s()))
        link.connect(controller.address)
        # otherwise the first request over TLS 1.3 waits 40 ms for an acknowledgement
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException as error:
        limit.release(link)
        link.close()
        if isinstance(error, TimeoutError):
            raise ControllerFailed("timeout: connect") from None
        if isinstance(error, ConnectionRefusedError):
            raise ControllerFailed("refused") from None
        if isinstance(error, OSError):
            limit.left_s()  # raises after abandon(): the controller is not at fault
            raise ControllerFailed(f"network: {error}") from None
        raise
    return link


class Link:
    """An open connection, encrypted if the settings demand it, and not bound. A context manager.

    Args:
        answer_timeout_s: the longest wait for one answer.

    Raises:
        CertificateRefused, ControllerFailed: no connection or no TLS; no name or password was sent.
        TimeIsUp
    """

    def __init__(
        self, controller: Controller, tls: ssl.SSLContext, limit: TimeLimit, answer_timeout_s: float
    ) -> None:
        self.controller = controller
        self._limit = limit
        self._answer_timeout_s = min(answer_timeout_s, ANSWER_TIMEOUT_S)
        self._socket = connect(controller, limit)
        try:
            if controller.secure:
                self._encrypt(tls)
            self._ldap = self._ldap3_connection()
            if controller.start_tls:
                self._start_tls(tls)
        except BaseException:
            self._close_socket()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            with contextlib.suppress(Exception):  # an unbind request needs no answer
                self._timed.until = time.monotonic() + 0.2
                self._ldap.unbind()
        self._close_socket()

    @property
    def encryption(self) -> tuple[str, bytes] | None:
        """The version of TLS and the server's certificate in DER; None without TLS."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return None
        return self._socket.version() or "", self._socket.getpeercert(binary_form=True) or b""

    def bind(self, dn: str, secret: bytes) -> BindAnswer:
        """Sends a name and a password and returns the answer.

        Args:
            secret: bytes, because ldap3 changes text by the rules of SASLprep: it removes soft
                hyphens, splits ligatures, refuses Hebrew beside Latin.

        Raises:
            ControllerFailed, TimeIsUp
        """
        self._ldap.user, self._ldap.password = dn, secret
        self._ldap.authentication = _ldap3.SIMPLE
        try:
            with self._operation():
                self._ldap.bind(read_server_info=False, controls=[(PASSWORD_POLICY, False, None)])
                result = self._result()
                controls: dict[str, Any] = result.get("controls") or {}
                value = controls.get(PASSWORD_POLICY, {}).get("value")
                answer = BindAnswer(
                    int(result["result"]),
                    str(result["message"] or ""),
                    None if value is None else bytes(value),
                )
        finally:
            self._ldap.password = None
        return answer

    def search(
        self,
        base: str,
        criteria: str,
        attributes: Sequence[str] = (),
        *,
        subtree: bool = False,
        size_limit: int = 0,
    ) -> SearchResult:
        """Returns the entries at or, with `subtree`, below `base` that match the filter `criteria`.

        Raises:
            ControllerFailed, TimeIsUp
            DirectoryUnavailable: `filter: ...`, the filter is malformed.
        """
        with self._operation() as wait_s:
            self._ldap.search(
                base,
                criteria,
                search_scope=_ldap3.SUBTREE if subtree else _ldap3.BASE,
                dereference_aliases=_ldap3.DEREF_NEVER,
                attributes=list(attributes) or ["1.1"],
                size_limit=size_limit,
                time_limit=max(1, int(wait_s)),
            )
            result = self._result()
            entries = [
                Entry(str(row["dn"]), _values(row["raw_attributes"]))
                for row in cast("list[dict[str, Any]]", self._ldap.response)
                if row["type"] == "searchResEntry"
            ]
        return SearchResult(
            int(result["result"]), str(result["description"]), str(result["message"] or ""), entries
        )

    def _result(self) -> dict[str, Any]:
        result = cast("dict[str, Any]", self._ldap.result)
        if result["result"] in (BUSY, UNAVAILABLE):
            raise ControllerFailed("busy" if result["result"] == BUSY else "unavailable")
        return result

    def _encrypt(self, tls: ssl.SSLContext) -> None:
        clear = self._socket
        clear.settimeout(min(self._answer_timeout_s, self._limit.left_s()))
        try:
            encrypted = tls.wrap_socket(
                clear, server_hostname=self.controller.host, do_handshake_on_connect=False
            )
            self._socket = encrypted
            self._limit.hold(encrypted)
            encrypted.do_handshake()
        except ssl.SSLCertVerificationError as error:
            cause = f"tls: {error.verify_message}"
            raise CertificateRefused(cause, error.verify_code) from None
        except TimeoutError:
            raise ControllerFailed("timeout: tls") from None
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            self._limit.left_s()
            reason = getattr(error, "reason", None) or type(error).__name__
            raise ControllerFailed(f"tls: {reason}") from None
        finally:
            self._limit.release(clear)

    def _start_tls(self, tls: ssl.SSLContext) -> None:
        with self._operation():
            self._ldap.extended(START_TLS)
            result = self._result()
        if result["result"] != 0:
            raise StartTlsRefused(f"tls: StartTLS refused: {result['description']}")
        self._encrypt(tls)
        self._ldap = self._ldap3_connection()

    def _ldap3_connection(self) -> Any:
        """Returns ldap3's connection object on our socket. Its `open` is not called, because that
        looks the host up again without a deadline; the rest of its work is done here."""
        self._timed = TimedSocket(self._socket)
        server = _ldap3.Server(self.controller.host, get_info=_ldap3.NONE)
        connection = _ldap3.Connection(
            server,
            client_strategy=_ldap3.SYNC,
            auto_referrals=False,  # ldap3 would send the password to any host in an answer
            auto_range=False,
            check_names=False,
            read_only=True,
            return_empty_attributes=False,
        )
        connection.socket = self._timed
        connection.strategy._outstanding = {}
        connection.closed, connection.listening = False, True
        return connection

    @contextlib.contextmanager
    def _operation(self) -> Generator[float]:
        """Bounds one operation and translates its errors. Yields its time limit in seconds."""
        wait_s = min(self._answer_timeout_s, self._limit.left_s())
        self._timed.until = time.monotonic() + wait_s
        self._timed.bytes_left = MAX_ANSWER_BYTES
        try:
            yield wait_s
        except ControllerFailed:
            raise
        except (LDAPInvalidFilterError, LDAPAttributeError, LDAPObjectClassError) as error:
            raise DirectoryUnavailable(f"filter: {error}") from None
        except Exception as error:
            self._limit.left_s()
            raise ControllerFailed(
                self._timed.failure or f"garbled: {type(error).__name__}"
            ) from None

    def _close_socket(self) -> None:
        self._limit.release(self._socket)
        self._socket.close()


def _values(raw: Any) -> dict[str, list[bytes]]:
    return {str(name).lower(): [bytes(value) for value in raw[name] or ()] for name in raw}
