"""Parses the addresses in settings. Error messages hold no part of an address: a mistyped one may
hold a part of the password anywhere."""

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
    """Name or IP address without brackets, "" for none; `port` None: the default port."""

    name: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of an address, percent-decoded except `path`.

    `username` and `password` are None where they are missing. `hosts` has at least one entry.
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
        """Raises ValueError when the path is not UTF-8."""
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
        schemes: accepted schemes, in lower case.
        parameters: accepted names after the question mark.
        several_hosts: `host1:port1,host2` is accepted.

    Raises:
        ValueError: the address is wrong; the message holds no part of it.
    """
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in schemes:
        raise ValueError("must begin with " + " or ".join(f"{each}://" for each in schemes))
    if any(each.isspace() or not each.isprintable() for each in text):
        raise ValueError(f"holds a space or a control character, or {ENCODE}")
    authority = _AUTHORITY.match(rest)
    assert authority is not None  # the pattern matches an empty text as well
    tail = rest[authority.end() :]
    username, at, hosts = authority[0].rpartition("@")
    path, _, query = tail.partition("?")
    # after a raw / ? # or @ in a password, its @ comes after the seeming end of the host
    ambiguous = "@" in username or "#" in tail or "@" in path or ("@" in tail and not at)
    if ambiguous or _HALF_ENCODED.search(text):
        raise ValueError(ENCODE)
    username, colon, password = username.partition(":")
    return Url(
        scheme=scheme,
        hosts=_parse_hosts(hosts, several=several_hosts),
        path=path,
        username=_decoded(username) if at and username else None,
        password=_decoded(password) if colon else None,
        parameters=_parse_parameters(query, parameters),
    )


def parse_origin(text: str) -> str:
    """Returns an origin as browsers write it: lower case, without the default port of the scheme.

    Raises:
        ValueError: the text is no `http(s)://host[:port]`; the message holds no part of it.
    """
    url = parse_url(text, ("http", "https"))
    if not url.host.name or url.path not in ("", "/") or url.username or url.password:
        raise ValueError("must be an origin such as https://chat.example.com, without a path")
    return f"{url.scheme}://{authority_of(url)}"


def parse_service(text: str, schemes: Collection[str], example: str) -> str:
    """Returns `text`, the address of one server, without a slash at its end.

    Raises:
        ValueError: the address is wrong; the message shows `example` and no part of it.
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
    """Returns whether a host name or IP address is a loopback address, reachable from this machine
    only."""
    if host in LOOPBACK:
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def is_loopback_url(text: str) -> bool:
    """Returns the same for the host of a valid address."""
    return is_loopback(parse_url(text, (text.partition(":")[0],)).host.name.lower())


def _parse_hosts(text: str, *, several: bool) -> tuple[Host, ...]:
    parts = text.split(",") if several else [text]
    return tuple(_parse_host(part) for part in parts)


def _parse_host(text: str) -> Host:
    match = _HOST.fullmatch(text)
    if match is None:
        raise ValueError(f"has no host as it should be, or {ENCODE}")
    port = match["port"]
    if port and not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= 65535):
        raise ValueError(f"has a port that is no number from 1 to 65535, or {ENCODE}")
    name = match["six"] or _decoded(match["name"] or "")
    if not name.startswith("/"):  # the folder of a socket
        try:
            name.encode("idna")
        except UnicodeError:
            raise ValueError("has a host that is no name") from None
        if re.search(r"[^\w.:%-]", name):
            raise ValueError(f"has a host that is no name, or {ENCODE}")
    return Host(name, int(port) if port else None)


def _parse_parameters(query: str, names: Collection[str]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals or not _PARAMETER.fullmatch(name):
            raise ValueError(f"has a ? that no name=value follows, or {ENCODE}")
        if name not in names:
            if "@" in query:  # the name may be a part of a password
                raise ValueError(ENCODE)
            valid = f"; known are {', '.join(sorted(names))}" if names else ""
            raise ValueError(f"has a parameter behind the ? that means nothing here{valid}")
        parameters[name] = _decoded(value)
    return parameters


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("is percent-encoded, but not as UTF-8") from None
