"""Documents understand Markdown as the page does (tests/e2e/test_rendering.py), by one corpus."""

from itertools import groupby

import pytest

from genai_app.markdown.guard import displayed
from genai_app.services.exports.pdf.blocks import Block, Span, markdown
from genai_app.services.exports.pdf.fonts import Face
from tests.corpora.markdown_cases import CASES


def flags(span: Span, *, in_head: bool) -> str:
    """Returns the letters of tests/corpora/markdown_cases.py."""
    bold = span.face == Face.BOLD and not in_head
    link = span.link not in ("", span.text)  # the page makes links of bare addresses
    ways = {"a": link, "b": bold, "c": span.code, "i": span.slanted, "s": span.struck}
    return "".join(letter for letter, is_so in ways.items() if is_so)


def words(spans: list[Span], *, in_head: bool = False) -> str:
    done: list[str] = []
    shown = [span for span in spans if span.text]
    for letters, same in groupby(shown, key=lambda span: flags(span, in_head=in_head)):
        text = "".join(span.text for span in same).replace("\n", "⏎")
        done.append(f"{{{letters}:{text}}}" if letters else text)
    return "".join(done).replace(" ⏎", "⏎")


def line(block: Block) -> str:
    """Returns a block as tests/corpora/markdown_cases.py writes it."""
    before = "  " * block.depth + ("| " if block.quoted else "")
    match block.kind:
        case "rule":
            return "---"
        case "code":
            return before + "code: " + block.spans[0].text.replace("\n", "⏎")
        case "row":
            cells = " / ".join(words(cell, in_head=bool(block.level)) for cell in block.cells)
            return before + ("head: " if block.level else "row: ") + cells
        case "heading":
            return before + "#" * block.level + " " + words(block.spans, in_head=True)
        case _:
            return before + (f"{block.marker} " if block.marker else "") + words(block.spans)


@pytest.mark.parametrize("name", CASES)
def test_a_document_reads_as_the_page(name: str) -> None:
    text, lines = CASES[name]
    assert [line(block) for block in markdown(displayed(text).text)] == lines
