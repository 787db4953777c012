"""The one reader of addresses in settings. What it refuses it says without any part of the address:
a mistyped one may hold a piece of a password anywhere."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote

ENCODE = (
    "cannot be read: percent-encode the user name and the password"
    " (@ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25)"
)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"[^/?#]*")
_HALF_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<name>[^\[\]:@]*))(?::(?P<port>.*))?"
)
_PARAMETER = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Host:
    """Name or IP address without brackets, "" where none is written; None: the usual port."""

    name: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Url:
    """An address in parts, all percent-decoded but `path`.

    `username` and `password` are None where none is written. `hosts` has at least one entry.
    """

    scheme: str
    hosts: tuple[Host, ...]
    path: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    parameters: dict[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def host(self) -> Host:
        return self.hosts[0]

    @property
    def decoded_path(self) -> str:
        """Raises ValueError where it is not UTF-8."""
        return _decoded(self.path)


def parse_url(
    text: str,
    schemes: Collection[str],
    *,
    parameters: Collection[str] = (),
    several_hosts: bool = False,
) -> Url:
    """Returns `scheme://[user[:password]@]host[:port][/path][?name=value&...]` in parts.

    Args:
        schemes: those that are taken, in lower case.
        parameters: names that may stand behind the question mark.
        several_hosts: `host1:port1,host2` is taken.

    Raises:
        ValueError: it is no such address; the message holds no part of it.
    """
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in schemes:
        raise ValueError("must begin with " + " or ".join(f"{each}://" for each in schemes))
    if any(each.isspace() or not each.isprintable() for each in text):
        raise ValueError(f"holds a space or a control character, or {ENCODE}")
    authority = _AUTHORITY.match(rest)
    assert authority is not None  # it matches an empty text as well
    tail = rest[authority.end() :]
    username, at, place = authority[0].rpartition("@")
    path, _, query = tail.partition("?")
    # a password with a raw / ? # or @ has its own @ behind the place where the host seems to end
    ambiguous = "@" in username or "#" in tail or "@" in path or ("@" in tail and not at)
    if ambiguous or _HALF_ENCODED.search(text):
        raise ValueError(ENCODE)
    username, colon, password = username.partition(":")
    return Url(
        scheme=scheme,
        hosts=_parse_hosts(place, several=several_hosts),
        path=path,
        username=_decoded(username) if at and username else None,
        password=_decoded(password) if colon else None,
        parameters=_parse_parameters(query, parameters),
    )


def parse_origin(text: str) -> str:
    """Returns an origin as browsers write it: lower case, without the scheme's usual port.

    Raises:
        ValueError: it is no `http(s)://host[:port]`; the message holds no part of it.
    """
    url = parse_url(text, ("http", "https"))
    if not url.host.name or url.path not in ("", "/") or url.username or url.password:
        raise ValueError("must be an origin such as https://chat.example.com, without a path")
    return f"{url.scheme}://{authority_of(url)}"


def parse_service(text: str, schemes: Collection[str], example: str) -> str:
    """Returns `text`, the address of a server of one name, without a slash at its end.

    Raises:
        ValueError: it is none; the message shows `example` and no part of the address.
    """
    try:
        url = parse_url(text, schemes)
    except ValueError as error:
        raise ValueError(f"each entry must look like {example}: one {error}") from None
    if not url.host.name:
        raise ValueError(f"each entry must look like {example}: one has no host")
    return text.rstrip("/")


def authority_of(url: Url) -> str:
    """Returns `host[:port]` of an http(s) address as browsers send it in `Host`."""
    name = url.host.name.lower()
    if not name.isascii():
        name = name.encode("idna").decode()
    if ":" in name:
        name = f"[{name}]"
    port = url.host.port
    return name if port in (None, DEFAULT_PORTS.get(url.scheme)) else f"{name}:{port}"


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address is this machine itself, and nothing else reaches it."""
    if host in LOOPBACK:
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def is_loopback_url(text: str) -> bool:
    """The same of the host of an address that was checked."""
    return is_loopback(parse_url(text, (text.partition(":")[0],)).host.name.lower())


def _parse_hosts(text: str, *, several: bool) -> tuple[Host, ...]:
    parts = text.split(",") if several else [text]
    return tuple(_parse_host(part) for part in parts)


def _parse_host(text: str) -> Host:
    found = _HOST.fullmatch(text)
    if found is None:
        raise ValueError(f"has no host as it should be, or {ENCODE}")
    port = found["port"]
    if port and not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= 65535):
        raise ValueError(f"has a port that is no number from 1 to 65535, or {ENCODE}")
    name = found["six"] or _decoded(found["name"] or "")
    if not name.startswith("/"):  # a folder of sockets
        try:
            name.encode("idna")
        except UnicodeError:
            raise ValueError("has a host that is no name") from None
        if re.search(r"[^\w.:%-]", name):
            raise ValueError(f"has a host that is no name, or {ENCODE}")
    return Host(name, int(port) if port else None)


def _parse_parameters(query: str, names: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals or not _PARAMETER.fullmatch(name):
            raise ValueError(f"has a ? that no name=value follows, or {ENCODE}")
        if name not in names:
            if "@" in query:  # then it may be a piece of a password
                raise ValueError(ENCODE)
            known = f"; known are {', '.join(sorted(names))}" if names else ""
            raise ValueError(f"has a parameter behind the ? that means nothing here{known}")
        found[name] = _decoded(value)
    return found


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("is percent-encoded, but not as UTF-8") from None
