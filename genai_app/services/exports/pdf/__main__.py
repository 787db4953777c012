"""Draws what comes as lines of JSON on standard input, and ends: `python -m ... PATH`.

Each line is a list, its first entry the kind: `["document", title, foot, locale]`,
`["title", text, under]`, `["speaker", name, about, asks]`, `["plain", text]`, `["markdown", text]`,
`["note", text]`.
Without the last line, `["end"]`, whoever writes here has died: nothing is left behind.
"""

import json
import resource
import sys
from pathlib import Path

from genai_app.services.exports.pdf.blocks import markdown, plain
from genai_app.services.exports.pdf.page import Document

# a message that is made to exhaust the layout takes this process with it, not the machine
MEMORY = 1024 * 1024 * 1024
CPU_S = 300


def main(path: Path) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    document: Document | None = None
    for line in sys.stdin.buffer:
        kind, *given = json.loads(line)
        if kind == "document":
            document = Document(path, *given)
        elif document is None:
            return 1
        elif kind == "title":
            document.title(*given)
        elif kind == "speaker":
            name, about, asks = given
            document.speaker(name, about, asks=asks)
        elif kind == "plain":
            document.blocks(plain(*given))
        elif kind == "markdown":
            document.blocks(markdown(*given))
        elif kind == "note":
            document.note(*given)
        elif kind == "end":
            document.save()
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
