"""A product whose data stand on a file system of a few megabytes, to be filled and freed.

`AppProcess(..., within=on_small_disk())` runs it in a mount namespace of its own, where a tmpfs
with a copy of what is there lies over its data. `Disk(app)` is the way to it from outside.
"""

import errno
import os
import subprocess
from pathlib import Path

from tests.fakes.app_process import AppProcess

SIZE_MIB = 8
BLOCK = b"\0" * 4096
SCRIPT = f"""
set -e
mkdir "$GENAI_DATA_DIR.small"
mount -t tmpfs -o size={SIZE_MIB}m,mode=700 none "$GENAI_DATA_DIR.small"
cp -a "$GENAI_DATA_DIR/." "$GENAI_DATA_DIR.small"
mount --bind "$GENAI_DATA_DIR.small" "$GENAI_DATA_DIR"
exec "$@"
"""


def on_small_disk() -> list[str]:
    """For AppProcess's `within`; for one start only, the next one begins anew.

    Raises:
        RuntimeError: this machine makes no such namespace; says what to change.
    """
    unshare = ["unshare", "--mount"]
    if os.geteuid() != 0:
        unshare.append("--map-root-user")
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise RuntimeError(
            "the tests need mount namespaces: run them as root with CAP_SYS_ADMIN, or allow user"
            f" namespaces (sysctl kernel.unprivileged_userns_clone=1). {tried.stderr.strip()}"
        )
    return [*unshare, "sh", "-c", SCRIPT, "sh"]


class Disk:
    """The small disk below the data of a product that runs."""

    def __init__(self, app: AppProcess) -> None:
        self.folder = Path(f"/proc/{app.pid}/root{app.data_dir}")
        self._filler = self.folder / "filler"

    def fill(self) -> None:
        """To the last block; again if something has become free."""
        with self._filler.open("ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(BLOCK)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        self._filler.unlink()
