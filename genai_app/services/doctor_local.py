"""What `genai doctor` looks at on this machine: settings, files, disk, backups. It all blocks."""

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genai_app.adapters.postgres_tools import find_program
from genai_app.errors import Conflict
from genai_app.services.backup_files import backup_state
from genai_app.services.doctor_findings import (
    Cause,
    CheckName,
    FactName,
    Finding,
    Skip,
    failed,
    skipped,
    warned,
    well,
)
from genai_app.settings import LOOPBACK, Settings, unknown_names

MEGABYTE = 1_000_000
LOW_BYTES = 2_000 * MEGABYTE
FULL_BYTES = 200 * MEGABYTE
OTHERS = stat.S_IRWXG | stat.S_IRWXO
DRILL_EVERY_S = 35 * 86400


@dataclass(frozen=True, slots=True)
class Installation:
    """What lies outside of the services' sight. `schema` blocks, and raises StorageUnavailable."""

    front_end: Callable[[], Literal["built", "old", "missing"]]
    schema: Callable[[], Literal["current", "none", "older", "newer"]]


def check_settings(settings: Settings) -> list[Finding]:
    """That they are right is known by now; what remains are slips that mean nothing or lock out."""
    found: list[Finding] = []
    if unknown := unknown_names(settings):
        facts = {FactName.NAMES: tuple(unknown)}
        found.append(warned(CheckName.SETTINGS, Cause.SETTINGS_UNKNOWN, facts=facts))
    if not settings.public_url and settings.host not in LOOPBACK:
        found.append(warned(CheckName.SETTINGS, Cause.PUBLIC_URL_MISSING))
    return found or [well(CheckName.SETTINGS)]


def check_front_end(installation: Installation) -> list[Finding]:
    state = installation.front_end()
    if state == "missing":
        return [failed(CheckName.FRONT_END, Cause.FRONT_END_MISSING)]
    if state == "old":
        return [warned(CheckName.FRONT_END, Cause.FRONT_END_OLD)]
    return [well(CheckName.FRONT_END)]


def check_data_dir(settings: Settings) -> list[Finding]:
    """May it be written, and is what opens doors for its owner alone."""
    check, directory = CheckName.DATA_DIR, settings.data_dir.absolute()
    facts = {FactName.PATH: str(directory)}
    place = _existing(directory)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return [failed(check, Cause.DATA_DIR_UNWRITABLE, facts=facts)]
    secrets = [directory / "secret.key", Path(".env").absolute()]
    opened = [str(path) for path in secrets if path.exists() and path.stat().st_mode & OTHERS]
    if opened:
        return [warned(check, Cause.SECRET_OPEN, facts={FactName.FILE: tuple(opened)})]
    return [well(check, facts=facts)]


def check_disk(settings: Settings) -> list[Finding]:
    """Each disk once."""
    found: dict[int, Finding] = {}
    for wanted in (settings.data_dir, settings.backup_path, settings.anchor_path.parent):
        place = _existing(wanted.absolute())
        device = place.stat().st_dev
        if device in found:
            continue
        free = shutil.disk_usage(place).free
        facts = {FactName.PATH: str(wanted.absolute()), FactName.FREE_MB: free // MEGABYTE}
        if free < FULL_BYTES:
            found[device] = failed(CheckName.DISK, Cause.DISK_FULL, facts=facts)
        elif free < LOW_BYTES:
            found[device] = warned(CheckName.DISK, Cause.DISK_LOW, facts=facts)
        else:
            found[device] = well(CheckName.DISK, facts=facts)
    return list(found.values())


def check_backup(settings: Settings) -> list[Finding]:
    """How old, tried when, who may read it, and can one be made."""
    check, directory = CheckName.BACKUP, settings.backup_path.absolute()
    state = backup_state(settings)
    found: list[Finding] = []
    facts = {FactName.PATH: str(directory)}
    if state.age_s is not None:
        aged = {**facts, FactName.AGE_H: round(state.age_s / 3600, 1)}
        if state.overdue:
            found.append(failed(check, Cause.BACKUP_LATE, facts=aged))
        if state.drill is not None and not state.drill.ok:
            tried = {FactName.FILE: state.drill.backup, FactName.DETAIL: state.drill.code}
            found.append(failed(check, Cause.BACKUP_BAD, facts=tried))
        elif state.watched and (state.drill_age_s is None or state.drill_age_s > DRILL_EVERY_S):
            found.append(warned(check, Cause.BACKUP_UNTRIED, facts=aged))
        if directory.stat().st_mode & OTHERS:
            found.append(warned(check, Cause.BACKUP_OPEN, facts=facts))
        found = found or [well(check, facts=aged)]
    elif state.watched:
        found.append(warned(check, Cause.BACKUP_NONE, facts=facts))
    else:
        return [skipped(check, Skip.NOT_WATCHED)]
    if not settings.embedded:
        found += _programs()
    return found


def _programs() -> list[Finding]:
    for name in ("pg_dump", "pg_restore", "psql"):
        try:
            find_program(name, 1)
        except Conflict:
            facts = {FactName.NAMES: name}
            return [failed(CheckName.BACKUP, Cause.BACKUP_TOOLS, facts=facts)]
    return []


def _existing(path: Path) -> Path:
    """The path itself, or what it would be made in."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
