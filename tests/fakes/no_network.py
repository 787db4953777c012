"""A network namespace with nothing but loopback, and what its kernel counted.

`isolated(command)` is the command that runs another one in such a namespace, as root or as
anybody. Within it, `attempts()` tells whether any process, of whatever language, tried to reach
something else: the kernel counts each try to connect or send for which there is no route.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SIOCSIFFLAGS = 0x8914
IFF_UP, IFF_RUNNING = 0x1, 0x40
# a question to a name server on loopback, where nobody listens, has a route: it counts as NoPorts
COUNTED = ("Ip.OutNoRoutes", "Udp.NoPorts", "Ip6OutNoRoutes", "Udp6NoPorts")


def isolated(command: Sequence[str]) -> list[str]:
    """`command`, to be run without a network from the root of the project.

    Raises:
        RuntimeError: this machine makes no such namespace; says what to change.
    """
    unshare = ["unshare", "--net"]
    if os.geteuid() != 0:
        unshare.insert(1, "--map-root-user")
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise RuntimeError(
            "the tests need network namespaces: run them as root with CAP_SYS_ADMIN, or allow user"
            f" namespaces (sysctl kernel.unprivileged_userns_clone=1). {tried.stderr.strip()}"
        )
    return [*unshare, sys.executable, "-m", __name__, *command]


def attempts() -> dict[str, int]:
    """How often something in this namespace tried to leave it; every number is 0 if nothing did."""
    counts: dict[str, int] = {}
    lines = Path("/proc/net/snmp").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        group, *fields = names.split()
        for name, value in zip(fields, values.split()[1:], strict=True):
            counts[f"{group.rstrip(':')}.{name}"] = int(value)
    six = Path("/proc/net/snmp6")
    for line in six.read_text().splitlines() if six.exists() else ():
        name, value = line.split()
        counts[name] = int(value)
    return {name: counts.get(name, 0) for name in COUNTED}


def _raise_loopback() -> None:
    with socket.socket() as any_socket:
        request = struct.pack("16sH22x", b"lo", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)


if __name__ == "__main__":
    _raise_loopback()
    os.execvp(sys.argv[1], sys.argv[1:])
