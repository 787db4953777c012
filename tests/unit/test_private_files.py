"""Files of the product are 0600 in directories of 0700, under any umask and after any copy."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from genai_app.db.database import Database
from genai_app.services.backup.private_files import OTHERS, list_exposed, mend_private_files
from genai_app.settings.settings import load_settings
from tests.unit.cli_run import ROOT

OPEN_UMASK = 0o022


def run(work: Path, *command: str) -> None:
    """One command under an umask that lets everybody read."""
    done = subprocess.run(
        [sys.executable, "-m", "genai_app", *command],
        cwd=work,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        umask=OPEN_UMASK,
    )
    assert done.returncode == 0, done.stderr


def exposed_below(directory: Path) -> list[str]:
    """Everything in a directory, and itself, that others may use."""
    found = [directory, *directory.rglob("*")]
    return [str(path) for path in found if stat.S_IMODE(path.stat().st_mode) & OTHERS]


def test_commands_make_private_files(tmp_path: Path) -> None:
    """A first start of each kind, and what a command writes elsewhere."""
    run(tmp_path, "migrate")
    run(tmp_path, "user", "add", "alice")
    run(tmp_path, "backup")
    data = tmp_path / "data"
    assert {path.name for path in data.iterdir()} >= {"genai.sqlite3", "backups"}
    assert exposed_below(data) == []


async def test_a_start_mends_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database with its log, the key, exports and states; what is not the product's stays."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    settings = load_settings(data_dir=data, backup_dir=tmp_path / "elsewhere")
    database = Database(settings.sqlalchemy_url)
    async with database.write() as session:  # a log and a shared index beside the file
        await session.connection()
    (data / "exports").mkdir()
    for path in ("secret.key", "genai.lock", "exports/one.csv", "audit.anchor"):
        (data / path).write_text("x" * 40)
    (data / "notes.txt").write_text("an administrator's")
    backup = tmp_path / "elsewhere" / "genai-20261126T064700.123Z.zip"
    backup.parent.mkdir()
    backup.write_text("x")
    for path in (data, backup.parent, *data.rglob("*"), backup):
        path.chmod(0o755 if path.is_dir() else 0o644)

    own = {data, data / "exports", data / "exports/one.csv", backup}
    own |= {path for path in data.iterdir() if path.name != "notes.txt"}
    assert set(list_exposed(settings)) == own
    assert {"genai.sqlite3-wal", "genai.sqlite3-shm"} <= {path.name for path in own}
    mend_private_files(settings)
    assert list_exposed(settings) == []
    assert exposed_below(data) == [str(data / "notes.txt")]
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o755
    await database.close()


def test_a_directory_of_other_things_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GENAI_DATA_DIR may be where the product is started, or a home."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    mend_private_files(load_settings(data_dir=tmp_path))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
