"""Opens the sockets that the product listens on."""

import errno
import socket
from contextlib import suppress

from genai_app.errors import SettingsError


def listening_sockets(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Returns a bound socket for each address of `host`, not listening yet. `::` includes IPv4.

    Args:
        shared: several processes of this product bind the same addresses.

    Raises:
        SettingsError: the address does not belong to this machine, or is in use.
    """
    sockets: list[socket.socket] = []
    reason = "this is no name of a host"
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(addresses):
            try:
                sockets.append(_bind(socket.socket(family, kind, protocol), address, shared))
            except OSError as error:
                # a name of this machine may have an address of a disabled family, such as IPv6
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                reason = error.strerror or reason
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or reason
        for each in sockets:
            each.close()
        sockets = []
    if not sockets:
        raise SettingsError(f"GENAI_HOST, GENAI_PORT: cannot listen on port {port}: {reason}")
    return sockets


def _bind(listener: socket.socket, address: tuple[object, ...], shared: bool) -> socket.socket:
    try:
        if listener.family == socket.AF_INET6:
            with suppress(OSError):  # a system without IPv4 has nothing to switch
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
