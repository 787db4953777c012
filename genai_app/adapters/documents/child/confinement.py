"""Takes from this process what a reader of files does not need: network, other files, other
processes, and the right to get any of them back. Works without privileges, on Linux.

Seccomp denies system calls, Landlock denies paths; each is left out where the kernel lacks it, and
`genai doctor` says so.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_MODE_FILTER = 2
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS = 0x00050001, 0x00050026
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000

# of two architectures: the word that names it, then the numbers of system calls
_ARCHITECTURES: dict[str, tuple[int, str]] = {
    "x86_64": (0xC000003E, "x86"),
    "aarch64": (0xC00000B7, "arm"),
}
_DENIED: dict[str, tuple[int, ...]] = {
    "x86": (
        *(41, 42, 43, 44, 49, 50, 53, 288),  # socket, connect, accept, sendto, bind, listen, pair
        *(62, 129, 200, 297, 424),  # kill, rt_sigqueueinfo, tkill, rt_tgsigqueueinfo, pidfd
        *(101, 310, 311, 434, 438),  # ptrace, process_vm_*, pidfd_open, pidfd_getfd
        *(109, 112, 272, 308),  # setpgid, setsid, unshare, setns
        *(165, 166, 175, 313, 246),  # mount, umount2, init_module, finit_module, kexec_load
        *(248, 249, 250, 298, 321, 323, 425),  # keys, perf_event, bpf, userfaultfd, io_uring
    ),
    "arm": (
        *(198, 203, 202, 206, 200, 201, 199, 242),
        *(129, 138, 130, 240, 424),
        *(117, 270, 271, 434, 438),
        *(154, 157, 97, 268),
        *(40, 39, 105, 273, 104),
        *(217, 218, 219, 241, 280, 282, 425),
    ),
}
_PROGRAMS = {"x86": (57, 58, 59, 322), "arm": (221, 281)}  # fork, vfork, execve, execveat
_CLONE = {"x86": 56, "arm": 220}
_TGKILL = {"x86": 234, "arm": 131}
_CLONE3 = 435

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1, 2, 4, 8, 1 << 14
_FIRST_RIGHTS = (1 << 13) - 1  # of the first version


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def set_bounds(memory_mb: int, cpu_s: int, output_mb: int) -> None:
    """Bounds memory, CPU time, files; a second after its CPU time the process is killed."""
    for limit, bound in (
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_FSIZE, output_mb << 20),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError):  # elsewhere than on Linux
            resource.setrlimit(limit, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    # where memory ends, the kernel takes this process, not the server
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")
    with suppress(OSError):  # a service may be kept from setting priorities
        os.nice(10)


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when its parent ends, however that ends."""
    if sys.platform != "linux":
        return
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def confine(readable: Iterable[str], writable: Sequence[str], *, programs: bool) -> tuple[str, ...]:
    """Takes the rights away, for this process and all it starts. Returns what could not be done:
    `seccomp`, `landlock`.

    Args:
        readable: files and folders that stay readable.
        writable: folders in which it may write.
        programs: it may start programs, which are confined as it is.
    """
    libc = _libc()
    if sys.platform != "linux" or libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return ("seccomp", "landlock")
    lacking: list[str] = []
    if not _restrict_paths(libc, readable, writable):
        lacking.append("landlock")
    if not _filter_calls(libc, programs=programs):
        lacking.append("seccomp")
    return tuple(lacking)


def _filter_calls(libc: Any, *, programs: bool) -> bool:
    word, table = _ARCHITECTURES.get(platform.machine(), (0, ""))
    if not table or struct.calcsize("P") != 8:
        return False
    steps = _filter(word, table, programs=programs)
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(buffer))
    done = libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.c_char_p(program), 0, 0)
    return done == 0


def _filter(word: int, table: str, *, programs: bool) -> list[tuple[int, int, int, int]]:
    """Returns a program of the kernel's packet filter: (code, jump if true, jump if false, k)."""
    load, equal, at_least, has_bits, leave = 0x20, 0x15, 0x35, 0x45, 0x06
    steps: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),  # the architecture
        (equal, 1, 0, word),
        (leave, 0, 0, _KILL),
        (load, 0, 0, 0),  # the number of the call
        (at_least, 0, 1, _X32),
        (leave, 0, 0, _EPERM),
        (equal, 0, 1, _CLONE3),  # its flags cannot be seen; libc falls back to clone
        (leave, 0, 0, _ENOSYS),
    ]
    for number in (*_DENIED[table], *(() if programs else _PROGRAMS[table])):
        steps += [(equal, 0, 1, number), (leave, 0, 0, _EPERM)]
    # signals to itself only: abort() needs them
    own = [
        (load, 0, 0, 16),
        (equal, 1, 0, os.getpid()),
        (leave, 0, 0, _EPERM),
        (leave, 0, 0, _ALLOW),
    ]
    steps += [(equal, 0, len(own), _TGKILL[table]), *own]
    if not programs:
        threads = [(load, 0, 0, 16), (has_bits, 1, 0, _CLONE_THREAD), (leave, 0, 0, _EPERM)]
        steps += [(equal, 0, len(threads), _CLONE[table]), *threads]
    return [*steps, (leave, 0, 0, _ALLOW)]


def _restrict_paths(libc: Any, readable: Iterable[str], writable: Sequence[str]) -> bool:
    version = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    handled = _FIRST_RIGHTS | (_TRUNCATE if version >= 3 else 0)
    attribute = struct.pack("Q", handled)
    ruleset = libc.syscall(_LANDLOCK_CREATE, ctypes.c_char_p(attribute), len(attribute), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(libc, ruleset, path, _READ_FILE | _READ_DIR | _EXECUTE)
        for path in writable:
            _allow(libc, ruleset, path, handled & ~_EXECUTE)
        return libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(libc: Any, ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
        rule = struct.pack("=Qi", rights, descriptor)
        libc.syscall(_LANDLOCK_ADD, ruleset, 1, ctypes.c_char_p(rule), 0)
    finally:
        os.close(descriptor)
