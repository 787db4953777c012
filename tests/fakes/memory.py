"""Puts what the tests write into memory, where there is enough of it.

On a disk each new database of PostgreSQL is 300 files to allocate and to free again, and each
transaction of SQLite waits for the disk: half of the time of tests with a database.
"""

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
NEEDED_BYTES = 6_000_000_000  # a guess on the safe side: what a whole run needs was not measured


def write_to_memory() -> None:
    """Makes /dev/shm the folder for temporary files of this process and of what it starts, unless
    TMPDIR names one. Containers often have 64 MB there, or let nothing run from it."""
    if "TMPDIR" not in os.environ and _is_roomy():
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # pytest has asked for it before


def _is_roomy() -> bool:
    try:
        disk = os.statvfs(MEMORY)
        figures = Path("/proc/meminfo").read_text()
    except OSError:
        return False
    (available,) = [line.split()[1] for line in figures.splitlines() if "MemAvailable" in line]
    room = min(disk.f_bavail * disk.f_frsize, int(available) * 1024)
    return room > NEEDED_BYTES and not disk.f_flag & os.ST_NOEXEC
