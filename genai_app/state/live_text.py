"""Turns a growing answer into writes of append-only slots.

Reflex sends a changed var whole, so one growing string costs its whole length at every flush. Here
finished Markdown blocks go into `block_0 ...`, each written once; the block that is still growing
is `piece_0 ... + tail`, and only the short tail is written again and again. The page draws each
block as Markdown of its own, so that the browser parses a finished block once.
"""

import re

BLOCKS = 48
PIECES = 12
TAIL_CHARS = 240  # a longer tail becomes a piece
BLOCK_CHARS = 320  # shorter neighbours share a slot: fewer elements, fewer margins to get wrong

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_LIST_ITEM = re.compile(r" {0,3}([-*+]|\d{1,9}[.)])(\s|$)")


class LiveText:
    """Feed it text, take `changes()`: the slots to write, by name.

    At any time the text fed so far equals all blocks, then all pieces, then the tail.
    """

    def __init__(self) -> None:
        self._slots = dict.fromkeys(slot_names(), "")
        self._changed = dict(self._slots)  # the first flush clears what an earlier answer left
        self._block = 0
        self._piece = 0
        self._open = ""  # text of the block that still grows
        self._shown = 0  # how much of it is in pieces
        self._scanned = 0  # end of its last whole line that was looked at
        self._cut = 0  # where it may be cut: the start of a line after a blank one
        self._blank = False
        self._list = False
        self._fence = ""

    def feed(self, text: str) -> None:
        self._open += text
        self._scan()

    def changes(self) -> dict[str, str]:
        """Slots whose value differs from what the last call returned."""
        rest = self._open[self._shown :]
        if len(rest) > TAIL_CHARS:
            self._add_piece(rest)
            rest = ""
        self._write("tail", rest)
        changed, self._changed = self._changed, {}
        return changed

    def _scan(self) -> None:
        """Look at each whole line once; close the block wherever Markdown allows it."""
        while (end := self._open.find("\n", self._scanned)) >= 0:
            line = self._open[self._scanned : end]
            start, self._scanned = self._scanned, end + 1
            fence = _FENCE.match(line)
            if self._fence:
                mark = fence.group(1) if fence else ""
                if mark[:1] == self._fence[0] and len(mark) >= len(self._fence):
                    self._fence = "" if not line.strip(f" {mark[:1]}") else self._fence
                continue
            if not line.strip():
                self._blank = True
                continue
            if self._blank and start and not self._continues(line):
                self._list = False
                if start >= BLOCK_CHARS:
                    self._close(start)
            self._blank = False
            self._list = self._list or bool(_LIST_ITEM.match(line))
            if fence:
                self._fence = fence.group(1)

    def _continues(self, line: str) -> bool:
        """Whether a line after a blank one still belongs to the block before."""
        return self._list and (line.startswith("  ") or bool(_LIST_ITEM.match(line)))

    def _close(self, end: int) -> None:
        if self._block == BLOCKS:
            everything = "".join(self._slots[f"block_{i}"] for i in range(BLOCKS))
            for i in range(BLOCKS):
                self._write(f"block_{i}", everything if i == 0 else "")
            self._block = 1
        self._write(f"block_{self._block}", self._open[:end])
        self._block += 1
        self._open = self._open[end:]
        self._scanned -= end
        self._shown = 0
        for i in range(self._piece):
            self._write(f"piece_{i}", "")
        self._piece = 0

    def _add_piece(self, text: str) -> None:
        if self._piece == PIECES:
            for i in range(PIECES):
                self._write(f"piece_{i}", self._open[: self._shown] if i == 0 else "")
            self._piece = 1
        self._write(f"piece_{self._piece}", text)
        self._piece += 1
        self._shown = len(self._open)

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
