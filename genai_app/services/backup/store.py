"""The directory of backups: names, the newest one, rotation, the result of the last drill.

All of it is read from the files, so that the metrics, the overview and `genai doctor` need no
database for it.
"""

import fcntl
import math
import os
import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from genai_app import clock, metrics
from genai_app.errors import Conflict, Unavailable
from genai_app.settings.settings import Settings

DRILL = "drill.json"
LOCK = ".lock"
_NAME = re.compile(r"genai-(\d{8}T\d{6}\.\d{3})Z\.zip")


class Drill(msgspec.Struct, frozen=True):
    """The result of the last trial of a backup. `code`: of the error, "" for success."""

    backup: str
    at: datetime
    ok: bool
    seconds: float
    rows: int = 0
    code: str = ""


@dataclass(frozen=True, slots=True)
class BackupState:
    """The state of the directory. Ages are in seconds; None: there is none."""

    watched: bool
    overdue: bool
    age_s: float | None
    drill: Drill | None
    drill_age_s: float | None

    @property
    def well(self) -> bool:
        """Returns whether an administrator has nothing to do."""
        return not self.overdue and (self.drill is None or self.drill.ok)


def name_at(moment: datetime) -> str:
    """Returns `genai-20261126T064700.123Z.zip`."""
    return f"genai-{moment.astimezone(UTC):%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z.zip"


def list_backups(directory: Path) -> list[Path]:
    """Returns the complete backups, newest first."""
    try:
        names = [name for name in os.listdir(directory) if _NAME.fullmatch(name)]
    except OSError:
        return []
    return [directory / name for name in sorted(names, reverse=True)]


def newest_backup(directory: Path) -> Path:
    """Raises Conflict: backup_none."""
    backups = list_backups(directory)
    if not backups:
        raise Conflict(code="backup_none", directory=directory)
    return backups[0]


def rotate(directory: Path, keep: int) -> list[Path]:
    """Deletes all but the newest `keep` backups. Returns the deleted ones."""
    old = list_backups(directory)[keep:]
    for path in old:
        path.unlink(missing_ok=True)
    return old


@contextmanager
def locked(directory: Path) -> Generator[None]:
    """Locks the directory against other processes of this machine. Creates it with mode 0700, and
    removes the incomplete files of killed processes.

    Raises:
        Conflict: backup_running.
        Unavailable: backup_not_written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        raise Unavailable(
            code="backup_not_written", path=directory, reason=error.strerror or str(error)
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(code="backup_running", directory=directory) from None
        for left in (*directory.glob("*.part"), *directory.glob("*.trial*")):
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(lock)


def record_drill(directory: Path, drill: Drill) -> None:
    """Writes the result of a trial."""
    handle, name = tempfile.mkstemp(dir=directory, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(drill))
    os.replace(name, directory / DRILL)


def last_drill(directory: Path) -> Drill | None:
    """Returns the last result, None when there is none or it cannot be read."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((directory / DRILL).read_bytes(), type=Drill)
    return None


def backup_state(settings: Settings) -> BackupState:
    """Reads the state of the directory. Blocks for the time of that."""
    directory, now = settings.backup_path, clock.now()
    backups = list_backups(directory)
    age_s = (now - _made_at(backups[0])).total_seconds() if backups else None
    drill = last_drill(directory)
    # an old or missing backup is no alarm with SQLite in the default directory, such as on a laptop
    own_directory = settings.backup_dir is not None
    watched = settings.backup_max_age_h > 0 and (own_directory or not settings.embedded)
    most_s = timedelta(hours=settings.backup_max_age_h).total_seconds()
    return BackupState(
        watched=watched,
        overdue=watched and (age_s is None or age_s > most_s),
        age_s=age_s,
        drill=drill,
        drill_age_s=(now - drill.at).total_seconds() if drill else None,
    )


def watch_backups(settings: Settings) -> None:
    """Registers the functions that the metrics call for the ages of backup and drill."""

    def figure(age_s: float | None, *, watched: bool) -> float:
        if age_s is not None:
            return age_s
        return math.inf if watched else math.nan

    def age() -> float:
        state = backup_state(settings)
        return figure(state.age_s, watched=state.watched)

    def drill_age() -> float:
        state = backup_state(settings)
        return figure(state.drill_age_s, watched=state.watched)

    def drill_ok() -> float:
        drill = last_drill(settings.backup_path)
        return math.nan if drill is None else float(drill.ok)

    metrics.watch_backups(age=age, drill_age=drill_age, drill_ok=drill_ok)


def _made_at(path: Path) -> datetime:
    match = _NAME.fullmatch(path.name)
    assert match is not None  # list_backups checked it
    return datetime.strptime(match[1], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
