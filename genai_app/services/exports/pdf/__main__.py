"""Reads lines of JSON from standard input and draws them as a PDF file: `python -m ... PATH`.

Each line is a list, its first entry the kind: `["document", title, foot, locale]`,
`["title", text, under]`, `["speaker", name, about, asks]`, `["plain", text]`, `["markdown", text]`,
`["quotation", text]`, `["note", text]`.
Without the last line, `["end"]`, the writer has died, and no file is written.
"""

import json
import resource
import sys
from dataclasses import replace
from pathlib import Path

from genai_app.services.exports.pdf.blocks import markdown, plain
from genai_app.services.exports.pdf.document import Document

# a message that exhausts the layout ends this process and not the machine
MEMORY = 1024 * 1024 * 1024
CPU_S = 300


def main(path: Path) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    document: Document | None = None
    for line in sys.stdin.buffer:
        kind, *arguments = json.loads(line)
        if kind == "document":
            document = Document(path, *arguments)
        elif document is None:
            return 1
        elif kind == "title":
            document.title(*arguments)
        elif kind == "speaker":
            name, about, asks = arguments
            document.speaker(name, about, asks=asks)
        elif kind == "plain":
            document.blocks(plain(*arguments))
        elif kind == "quotation":
            document.blocks([replace(block, quoted=True) for block in plain(*arguments)])
        elif kind == "markdown":
            document.blocks(markdown(*arguments))
        elif kind == "note":
            document.note(*arguments)
        elif kind == "end":
            document.save()
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
