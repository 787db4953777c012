"""Facts for `genai doctor`: whether children can be confined, and whether pictures can be read."""

import json
import platform
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from genai_app.adapters.documents.child.ocr import find_tesseract
from genai_app.adapters.documents.reading import ROOT, run_child

_WALL_S = 20.0
_BOOT = (
    "import json, sys; job = json.load(sys.stdin); sys.path.insert(0, job['root']); "
    "from genai_app.adapters.documents.child.confinement import confine; "
    "lacking = confine(['/usr', sys.base_prefix], [job['target']], programs=False); "
    "json.dump(list(lacking), open(job['target'] + '/lacking.json', 'w'))"
)


@dataclass(frozen=True, slots=True)
class ReadingAbilities:
    """Abilities of this machine. `network_closed`, `files_closed`: to a child that reads."""

    network_closed: bool
    files_closed: bool
    ocr: bool
    system: str


async def examine_reading() -> ReadingAbilities:
    """Starts a child that confines itself, and returns what this machine can do."""
    with tempfile.TemporaryDirectory() as folder:
        job = msgspec.json.encode({"root": str(ROOT), "target": folder})
        await run_child(_BOOT, job, Path(folder), _WALL_S)
        try:
            lacking = json.loads((Path(folder) / "lacking.json").read_text())
        except (OSError, ValueError):
            lacking = ["seccomp", "landlock"]
    return ReadingAbilities(
        network_closed="seccomp" not in lacking,
        files_closed="landlock" not in lacking,
        ocr=find_tesseract() is not None,
        system=f"{sys.platform} {platform.release()}",
    )
