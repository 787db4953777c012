"""Footnotes for the parser of documents, as GitHub's Markdown has them: `[^1]` in the text, and
somewhere a line `[^1]: ...` with what is indented below it."""

import re
from typing import TYPE_CHECKING

from markdown_it.token import Token

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

INDENT = 4  # of what belongs to a footnote

_NOTE = re.compile(r"\[\^([^\]\[\s]+)\]:[ \t]*")
_REFERENCE = re.compile(r"\[\^([^\]\[\s]+)\]")


def with_notes(parser: "MarkdownIt") -> "MarkdownIt":
    """Teaches the parser footnotes. Their tokens are `note_open`, `note_close` and `note_ref`."""
    parser.block.ruler.before("reference", "note", _note, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.before("link", "note_ref", _reference)
    return parser


def notes_last(tokens: list[Token]) -> list[Token]:
    """Returns the tokens with the footnotes as a numbered list behind a rule, in the order in which
    the text points to them."""
    text: list[Token] = []
    notes: dict[str, list[Token]] = {}
    target = text
    for token in tokens:
        if token.type == "note_open":
            target = notes.setdefault(token.meta["label"], [])
        elif token.type == "note_close":
            target = text
        else:
            target.append(token)
    if not notes:
        return tokens
    order = [
        child.meta["label"]
        for token in [*text, *(each for note in notes.values() for each in note)]
        for child in token.children or []
        if child.type == "note_ref"
    ]
    listed = [Token("hr", "hr", 0), Token("ordered_list_open", "ol", 1)]
    for label in dict.fromkeys([*order, *notes]):
        item, end = Token("list_item_open", "li", 1), Token("list_item_close", "li", -1)
        listed += [item, *notes[label], end]
    return [*text, *listed, Token("ordered_list_close", "ol", -1)]


def _note(state: "StateBlock", line: int, end_line: int, silent: bool) -> bool:
    """Parses a footnote, as the parser does an item of a list."""
    begin, end = state.bMarks[line] + state.tShift[line], state.eMarks[line]
    opening = _NOTE.match(state.src, begin, end)
    if state.is_code_block(line) or not opening:
        return False
    if silent:
        return True
    numbers: dict[str, int | None] = state.env.setdefault("notes", {})
    label = opening[1].casefold()
    again = label in numbers
    numbers.setdefault(label, None)
    opened = state.push("note_open", "", 1)
    opened.meta = {"label": f"{label} {line}" if again else label}
    before = state.bMarks[line], state.tShift[line], state.sCount[line], state.parentType
    state.bMarks[line] = opening.end()
    state.tShift[line] = 0
    state.blkIndent += INDENT
    state.sCount[line] = state.blkIndent
    state.md.block.tokenize(state, line, end_line)
    state.blkIndent -= INDENT
    state.bMarks[line], state.tShift[line], state.sCount[line], state.parentType = before
    state.push("note_close", "", -1)
    return True


def _reference(state: "StateInline", silent: bool) -> bool:
    """Numbers what points to a footnote; a mark of none stays text."""
    reference = _REFERENCE.match(state.src, state.pos, state.posMax)
    numbers: dict[str, int | None] = state.env.get("notes", {})
    label = reference[1].casefold() if reference else ""
    if not reference or label not in numbers:
        return False
    if not silent:
        number = numbers[label] or 1 + sum(each is not None for each in numbers.values())
        numbers[label] = number
        token = state.push("note_ref", "", 0)
        token.content = f"[{number}]"
        token.meta = {"label": label}
    state.pos = reference.end()
    return True
