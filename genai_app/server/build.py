"""Builds the front end when its sources have changed. Only this module needs bun and the
network."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from genai_app.errors import SettingsError

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".web" / "build" / "client"
LOCK = ROOT / "reflex.lock" / "package.json"
MARK = ROOT / ".web" / "build" / "fingerprint"
SOURCES = ("genai_app", "assets", "reflex.lock", "rxconfig.py")
REGISTRY = "https://registry.npmjs.org"  # where npm itself looks, unless NPM_CONFIG_REGISTRY is set
SUFFIXES = {".py", ".json", ".css", ".svg", ".png", ".ico", ".lock", ".woff2", ".webmanifest"}


def fingerprint() -> str:
    """Returns a hash of all files that the built pages depend on, and of Reflex's version."""
    digest = hashlib.sha256(f"reflex {version('reflex')}".encode())
    for name in SOURCES:
        top = ROOT / name
        files = [top] if top.is_file() else sorted(top.rglob("*"))
        for path in files:
            if path.suffix in SUFFIXES and path.is_file():
                digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def is_built() -> bool:
    """Returns whether the built front end belongs to the present sources."""
    return BUILT.is_dir() and MARK.is_file() and MARK.read_text() == fingerprint()


def built_missing() -> bool:
    """Returns whether there is no built front end at all."""
    return not BUILT.is_dir()


def environment(tools: Path) -> dict[str, str]:
    """Returns the environment of Reflex's build: bun of this venv, no telemetry, no version check,
    no speed test of package registries.

    Args:
        tools: an empty folder. Gets a `node` that runs bun, and hides a Node of this machine.
    """
    binaries = Path(sys.executable).parent
    bun = binaries / "bun"
    if bun.exists():
        node = tools / "node"
        bun_path = shlex.quote(str(bun))
        node.write_text(
            f'#!/bin/sh\n[ "$1" != --version ] || exec {bun_path} -p process.version\n'
            f'exec {bun_path} "$@"\n'
        )
        node.chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(tools), str(binaries), os.environ.get("PATH", "")]),
        "NPM_CONFIG_REGISTRY": os.environ.get("NPM_CONFIG_REGISTRY") or REGISTRY,
        "REFLEX_TELEMETRY_ENABLED": "false",
        "REFLEX_CHECK_LATEST_VERSION": "false",
    }


def build() -> None:
    """Builds the front end into .web/build.

    Raises:
        SettingsError: the build failed; its output has been printed.
    """
    before = LOCK.read_bytes()
    command = [sys.executable, "-m", "reflex", "export", "--frontend-only", "--no-zip"]
    with tempfile.TemporaryDirectory() as tools:
        done = subprocess.run(command, cwd=ROOT, env=environment(Path(tools)), check=False)
    if json.loads(before) == json.loads(LOCK.read_bytes()):
        LOCK.write_bytes(before)  # Reflex writes the same contents in one of two layouts
    if done.returncode or not BUILT.is_dir():
        raise SettingsError("the front end could not be built; see above")
    MARK.write_text(fingerprint())
