"""Turns a growing answer into writes of append-only slots.

Reflex sends a changed var whole, so one growing string costs its whole length at every flush. Here
finished Markdown blocks go into `block_0 ...`, each written once; the block that is still growing
is `piece_0 ... + tail`, and only the short tail is written again and again. The page draws each
block as Markdown of its own, so that the browser parses a finished block once.

Every slot holds text that is safe to render (see markdown/guard.py). The block that still grows is
parsed at each flush, so it has a smaller budget; past that, `tail_plain` says to draw it as it is.
"""

import re

from genai_app.markdown.formulas import Allowance
from genai_app.markdown.guard import BUDGET, displayed, guarded
from genai_app.markdown.normal import normalised
from genai_app.markdown.paragraphs import OpenDisplay

BLOCKS = 48
PIECES = 12
TAIL_CHARS = 240  # a longer tail becomes a piece
BLOCK_CHARS = 320  # shorter neighbours share a slot: fewer elements, fewer margins to get wrong
TAIL_BUDGET = BUDGET / 5

# a fence may open at a bullet; in the words after backticks there are none
_FENCE = re.compile(r"([ \t]*)((?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(`{3,}(?=[^`]*$)|~{3,})(.*)")
_CODE_INDENT = ("    ", "\t", " \t", "  \t", "   \t")
_LIST_ITEM = re.compile(r" {0,3}([-*+]|\d{1,9}[.)])(\s|$)")


class LiveText:
    """Feed it text, take `changes()`: the slots to write, by name.

    At any time all blocks, then all pieces, then the tail are the text fed so far, guarded.
    """

    def __init__(self) -> None:
        self._slots = dict.fromkeys([*slot_names(), "tail_plain"], "")
        self._changed = dict(self._slots)  # the first flush clears what an earlier answer left
        self._block = 0
        self._piece = 0
        self._open = ""  # text of the block that still grows
        self._plain = False  # whether it is drawn without formatting
        self._checked = 0  # how long it was when it was last checked
        self._left = BUDGET  # of what all blocks together may cost
        self._scanned = 0  # end of its last whole line that was looked at
        self._blank = False
        self._list = False
        self._fence = ""
        self._display = OpenDisplay()

    def feed(self, text: str) -> None:
        self._open += text
        self._scan()

    def changes(self) -> dict[str, str]:
        """Slots whose value differs from what the last call returned."""
        shown = self._open_shown()
        kept = done = 0
        while kept < self._piece and shown.startswith(self._slots[f"piece_{kept}"], done):
            done += len(self._slots[f"piece_{kept}"])
            kept += 1
        self._clear_pieces(kept)  # what comes later may change how the text before it is shown
        rest = shown[done:]
        if len(rest) > TAIL_CHARS:
            self._add_piece(rest)
            rest = ""
        self._write("tail", rest)
        self._write("tail_plain", "1" if self._plain else "")
        changed, self._changed = self._changed, {}
        return changed

    def _open_shown(self) -> str:
        """Returns the block that still grows as the page shows it."""
        if not self._plain and len(self._open) - self._checked > TAIL_CHARS:
            self._checked = len(self._open)
            self._plain = guarded(self._open, TAIL_BUDGET).left_plain
        if self._plain:
            return self._open
        lines = self._open.replace("\r\n", "\n").replace("\r", "\n")
        shown = normalised(lines, Allowance(TAIL_BUDGET))
        return self._open if shown == lines else shown

    def _scan(self) -> None:
        """Look at each whole line once; close the block wherever Markdown allows it."""
        while (end := self._open.find("\n", self._scanned)) >= 0:
            line = self._open[self._scanned : end].rstrip("\r")
            start, self._scanned = self._scanned, end + 1
            indent, item, mark, words = self._fence_in(line)
            if self._fence:
                if not item and mark.startswith(self._fence) and not words.strip():
                    self._fence = ""
                continue
            within = bool(self._display)
            self._display.see(line)
            if not line.strip():
                self._blank = True
                continue
            if self._blank and start and not within and not self._continues(line):
                self._list = False
                if start >= BLOCK_CHARS:
                    self._close(start)
            self._blank = False
            self._list = self._list or bool(_LIST_ITEM.match(line))
            if mark and (self._list or not indent.startswith(_CODE_INDENT)):
                self._fence = mark

    def _fence_in(self, line: str) -> tuple[str, str, str, str]:
        """Indent, bullets, mark and words of a line that may be a fence; empty for another."""
        fence = _FENCE.match(line)
        return (fence[1], fence[2], fence[3], fence[4]) if fence else ("", "", "", "")

    def _continues(self, line: str) -> bool:
        """Returns whether a line after a blank one still belongs to the block before."""
        if line.startswith(_CODE_INDENT):
            return True
        return self._list and (line.startswith("  ") or bool(_LIST_ITEM.match(line)))

    def _close(self, end: int) -> None:
        if self._block == BLOCKS:
            self._block = self._join("block", BLOCKS)
        safe = displayed(self._open[:end], self._left)
        self._left = max(self._left - safe.cost, 0.0)
        self._write(f"block_{self._block}", safe.text)
        self._block += 1
        self._open = self._open[end:]
        self._scanned -= end
        self._plain, self._checked = False, 0
        self._clear_pieces(0)

    def _clear_pieces(self, kept: int) -> None:
        for i in range(kept, self._piece):
            self._write(f"piece_{i}", "")
        self._piece = kept

    def _add_piece(self, text: str) -> None:
        if self._piece == PIECES:
            self._piece = self._join("piece", PIECES)
        self._write(f"piece_{self._piece}", text)
        self._piece += 1

    def _join(self, kind: str, count: int) -> int:
        """Make room: the last slots become one, with all before that are no longer than it.

        So the slots at least halve from one to the next, and a character moves a dozen times at
        most, however long the answer is. Returns the number of slots that are left.
        """
        texts = [self._slots[f"{kind}_{i}"] for i in range(count)]
        joined = texts.pop()
        while texts and (len(texts) == count - 1 or len(texts[-1]) <= len(joined)):
            joined = texts.pop() + joined
        if kind == "block":
            joined = guarded(joined).text
        for i in range(count):
            self._write(f"{kind}_{i}", joined if i == len(texts) else self._slots[f"{kind}_{i}"])
            if i > len(texts):
                self._write(f"{kind}_{i}", "")
        return len(texts) + 1

    def _write(self, name: str, value: str) -> None:
        if self._slots[name] != value:
            self._slots[name] = self._changed[name] = value


def slot_names() -> list[str]:
    """All slots in the order in which their texts are joined."""
    return [
        *(f"block_{i}" for i in range(BLOCKS)),
        *(f"piece_{i}" for i in range(PIECES)),
        "tail",
    ]
