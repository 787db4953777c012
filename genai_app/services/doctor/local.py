"""Checks of `genai doctor` on this machine: settings, files, disk, backups. All of them block."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genai_app.adapters.postgres_tools import find_program
from genai_app.errors import Conflict
from genai_app.services.backup.private_files import OTHERS, list_exposed
from genai_app.services.backup.store import backup_state
from genai_app.services.doctor.findings import (
    CheckName,
    DoctorCause,
    FactName,
    Finding,
    Skip,
    failed,
    skipped,
    warned,
    well,
)
from genai_app.settings.settings import LOOPBACK, Settings, unknown_names

MEGABYTE = 1_000_000
LOW_BYTES = 2_000 * MEGABYTE
FULL_BYTES = 200 * MEGABYTE
DRILL_EVERY_S = 35 * 86400


@dataclass(frozen=True, slots=True)
class Installation:
    """Answers of layers above the services. `schema` blocks, and raises StorageUnavailable."""

    front_end: Callable[[], Literal["built", "old", "missing"]]
    schema: Callable[[], Literal["current", "none", "older", "newer"]]


def check_settings(settings: Settings) -> list[Finding]:
    """Warns of unknown names and of a missing public address. Values are already validated."""
    findings: list[Finding] = []
    if unknown := unknown_names():
        facts = {FactName.NAMES: tuple(str(each) for each in unknown)}
        findings.append(warned(CheckName.SETTINGS, DoctorCause.SETTINGS_UNKNOWN, facts=facts))
    if not settings.public_url and settings.host not in LOOPBACK:
        findings.append(warned(CheckName.SETTINGS, DoctorCause.PUBLIC_URL_MISSING))
    return findings or [well(CheckName.SETTINGS)]


def check_front_end(installation: Installation) -> list[Finding]:
    state = installation.front_end()
    if state == "missing":
        return [failed(CheckName.FRONT_END, DoctorCause.FRONT_END_MISSING)]
    if state == "old":
        return [warned(CheckName.FRONT_END, DoctorCause.FRONT_END_OLD)]
    return [well(CheckName.FRONT_END)]


def check_data_dir(settings: Settings) -> list[Finding]:
    """Checks that the folder is writable, and that only its owner can read the product's files."""
    check, directory = CheckName.DATA_DIR, settings.data_dir.absolute()
    facts = {FactName.PATH: str(directory)}
    folder = _existing(directory)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return [failed(check, DoctorCause.DATA_DIR_UNWRITABLE, facts=facts)]
    dotenv = Path(".env").absolute()
    exposed = [str(path) for path in list_exposed(settings)]
    if dotenv.exists() and dotenv.stat().st_mode & OTHERS:
        exposed.append(str(dotenv))
    if exposed:
        return [warned(check, DoctorCause.SECRET_OPEN, facts={FactName.FILE: tuple(exposed)})]
    return [well(check, facts=facts)]


def check_disk(settings: Settings) -> list[Finding]:
    """Checks the free space of each disk once."""
    findings: dict[int, Finding] = {}
    for path in (settings.data_dir, settings.backup_path, settings.anchor_path.parent):
        folder = _existing(path.absolute())
        device = folder.stat().st_dev
        if device in findings:
            continue
        free = shutil.disk_usage(folder).free
        facts = {FactName.PATH: str(path.absolute()), FactName.FREE_MB: free // MEGABYTE}
        if free < FULL_BYTES:
            findings[device] = failed(CheckName.DISK, DoctorCause.DISK_FULL, facts=facts)
        elif free < LOW_BYTES:
            findings[device] = warned(CheckName.DISK, DoctorCause.DISK_LOW, facts=facts)
        else:
            findings[device] = well(CheckName.DISK, facts=facts)
    return list(findings.values())


def check_backup(settings: Settings) -> list[Finding]:
    """Checks the age of the last backup, its drill, its permissions, and the tools to make one."""
    check, directory = CheckName.BACKUP, settings.backup_path.absolute()
    state = backup_state(settings)
    findings: list[Finding] = []
    facts = {FactName.PATH: str(directory)}
    if state.age_s is not None:
        aged = {**facts, FactName.AGE_H: round(state.age_s / 3600, 1)}
        if state.overdue:
            findings.append(failed(check, DoctorCause.BACKUP_LATE, facts=aged))
        if state.drill is not None and not state.drill.ok:
            trial = {FactName.FILE: state.drill.backup, FactName.DETAIL: state.drill.code}
            findings.append(failed(check, DoctorCause.BACKUP_BAD, facts=trial))
        elif state.watched and (state.drill_age_s is None or state.drill_age_s > DRILL_EVERY_S):
            findings.append(warned(check, DoctorCause.BACKUP_UNTRIED, facts=aged))
        if directory.stat().st_mode & OTHERS:
            findings.append(warned(check, DoctorCause.BACKUP_OPEN, facts=facts))
        findings = findings or [well(check, facts=aged)]
    elif state.watched:
        findings.append(warned(check, DoctorCause.BACKUP_NONE, facts=facts))
    else:
        return [skipped(check, Skip.NOT_WATCHED)]
    if not settings.embedded:
        findings += _programs()
    return findings


def _programs() -> list[Finding]:
    for name in ("pg_dump", "pg_restore", "psql"):
        try:
            find_program(name, 1)
        except Conflict:
            facts = {FactName.NAMES: name}
            return [failed(CheckName.BACKUP, DoctorCause.BACKUP_TOOLS, facts=facts)]
    return []


def _existing(path: Path) -> Path:
    """Returns the path itself, or its nearest parent that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
