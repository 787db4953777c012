"""Lists of awkward texts that many tests share: unicode, xss, paths.

One sample a line, UTF-8. Lines that begin with `# ` and empty lines are no samples. In a sample a
backslash begins an escape as in JSON: `\\uXXXX` (a pair for the astral planes, one alone for a lone
surrogate), `\\n`, `\\r`, `\\t`, and `\\\\` for itself. Quotes stand as they are.
"""

import json
from functools import cache
from pathlib import Path


@cache
def _samples(name: str) -> tuple[str, ...]:
    text = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8")
    lines = (line for line in text.split("\n") if line and not line.startswith("# "))
    return tuple(json.loads('"' + line.replace('"', '\\"') + '"') for line in lines)


def load(name: str) -> list[str]:
    """The samples of `tests/corpora/<name>.txt`, decoded."""
    return list(_samples(name))
