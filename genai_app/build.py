"""Builds the front end, once for each state of its sources. Only this needs bun and the network."""

import hashlib
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from genai_app.errors import SettingsError

ROOT = Path(__file__).parents[1]
BUILT = ROOT / ".web" / "build" / "client"
LOCK = ROOT / "reflex.lock" / "package.json"
MARK = ROOT / ".web" / "build" / "fingerprint"
SOURCES = ("genai_app", "assets", "reflex.lock", "rxconfig.py")
SUFFIXES = {".py", ".json", ".css", ".svg", ".png", ".ico", ".lock", ".woff2", ".webmanifest"}


def fingerprint() -> str:
    """A hash over everything that the built pages depend on."""
    digest = hashlib.sha256(f"reflex {version('reflex')}".encode())
    for name in SOURCES:
        top = ROOT / name
        files = [top] if top.is_file() else sorted(top.rglob("*"))
        for path in files:
            if path.suffix in SUFFIXES and path.is_file():
                digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def is_built() -> bool:
    """Whether what is built belongs to the present sources."""
    return BUILT.is_dir() and MARK.is_file() and MARK.read_text() == fingerprint()


def built_missing() -> bool:
    """Whether there is nothing to serve at all."""
    return not BUILT.is_dir()


def environment() -> dict[str, str]:
    """What Reflex reads while it builds: no telemetry, no version check, bun from this venv."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "REFLEX_TELEMETRY_ENABLED": "false",
        "REFLEX_CHECK_LATEST_VERSION": "false",
    }


def build() -> None:
    """Build the front end into .web/build.

    Raises:
        SettingsError: the build failed; its output has been printed.
    """
    before = LOCK.read_bytes()
    command = [sys.executable, "-m", "reflex", "export", "--frontend-only", "--no-zip"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), check=False)
    if json.loads(before) == json.loads(LOCK.read_bytes()):
        LOCK.write_bytes(before)  # Reflex writes the same in one of two layouts
    if done.returncode or not BUILT.is_dir():
        raise SettingsError("the front end could not be built; see above")
    MARK.write_text(fingerprint())
