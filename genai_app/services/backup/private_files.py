"""Keeps the product's files and directories private to its own user: 0600 and 0700.

Commands run with a umask of 077 (cli/main.py). Files may still be open to others after an earlier
version, another umask or a copy: each start corrects those of its own user, `genai doctor` lists
the rest.
"""

import stat
from collections.abc import Generator
from pathlib import Path

import sqlalchemy as sa
import structlog

from genai_app.services.backup.store import DRILL, LOCK, list_backups
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

OTHERS = stat.S_IRWXG | stat.S_IRWXO
# the product's files in GENAI_DATA_DIR; others are left alone
FILES = ("secret.key", "genai.lock", "genai.sqlite3*", "audit.anchor", ".anchor-*", "*.log*")
FOLDERS = ("exports", "files", "imports", "states", "backups")
DATABASE_ENDINGS = ("", "-wal", "-shm", "-journal")


def mend_private_files(settings: Settings) -> None:
    """Removes the permissions of others on the product's files, where this user may do that."""
    for path in list_exposed(settings):
        try:
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS)
        except OSError as error:  # of another user: `genai doctor` lists it
            log.warning("private_files.open", path=str(path), reason=error.strerror)


def list_exposed(settings: Settings) -> list[Path]:
    """Returns the product's files and directories that others may read, write or enter."""
    return [path for path in dict.fromkeys(_own_paths(settings)) if _is_exposed(path)]


def _own_paths(settings: Settings) -> Generator[Path]:
    directory = settings.data_dir.absolute()
    # the home and the working directory hold files that are not the product's
    if not Path.cwd().is_relative_to(directory) and not Path.home().is_relative_to(directory):
        yield directory
    for pattern in FILES:
        yield from directory.glob(pattern)
    for name in FOLDERS:
        yield from (directory / name, *(directory / name).rglob("*"))
    if settings.embedded:
        database = sa.engine.make_url(settings.sqlalchemy_url).database or ""
        yield from (Path(database + ending) for ending in DATABASE_ENDINGS)
    yield settings.anchor_path.absolute()
    backups = settings.backup_path.absolute()
    yield from (*list_backups(backups), backups / LOCK, backups / DRILL)


def _is_exposed(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and bool(mode & OTHERS)
