"""Turns growing reasoning into writes of append-only slots, as live_text.py does with the answer.

It is shown as it was written, so there are no blocks: `thought_0 ... + thought_tail` are all of it.
`thought_line` is the newest line, which the page shows while the model thinks.
"""

THOUGHTS = 10
TAIL_CHARS = 400  # a longer tail becomes a piece
LINE_CHARS = 160
THINKING, DONE = "thinking", "done"


class LiveReasoning:
    """Feed it reasoning, take `changes()`: the slots to write, by name."""

    def __init__(self) -> None:
        self._slots: dict[str, str | int] = {**dict.fromkeys(text_slots(), ""), **FACTS}
        self._changed = dict(self._slots)  # the first flush clears what an earlier answer left
        self._pieces: list[str] = []
        self._tail = ""
        self._ms: int | None = None
        self._answers = False

    def feed(self, reasoning: str, ms: int | None, *, answers: bool) -> None:
        """Takes an increment.

        Args:
            ms: how long the model has thought; None if it has not.
            answers: the answer's text has begun.
        """
        self._tail += reasoning
        self._ms = ms
        self._answers = answers

    def changes(self) -> dict[str, str | int]:
        """Returns the slots whose value differs from what the last call returned."""
        line = _last_line(self._tail)
        if len(self._tail) > TAIL_CHARS:
            self._add_piece(self._tail)
            self._tail = ""
        for number in range(THOUGHTS):
            text = self._pieces[number] if number < len(self._pieces) else ""
            self._write(f"thought_{number}", text)
        self._write("thought_tail", self._tail)
        if self._ms is not None:
            self._write("thought_s", self._ms // 1000)
            self._write("thought_state", DONE if self._answers else THINKING)
        if line or self._answers:
            self._write("thought_line", "" if self._answers else line)
        changed, self._changed = self._changed, {}
        return changed

    def _add_piece(self, text: str) -> None:
        """Adds a piece. Those that are no longer than it are joined with it where there is no room:
        a character moves a dozen times at most."""
        if len(self._pieces) == THOUGHTS:
            joined = self._pieces.pop()
            while self._pieces and (
                len(self._pieces) == THOUGHTS - 1 or len(self._pieces[-1]) <= len(joined)
            ):
                joined = self._pieces.pop() + joined
            self._pieces.append(joined)
        self._pieces.append(text)

    def _write(self, name: str, value: str | int) -> None:
        if self._slots[name] != value:
            self._slots[name] = self._changed[name] = value


def text_slots() -> list[str]:
    """Returns the slots of text in the order in which they are joined."""
    return [*(f"thought_{number}" for number in range(THOUGHTS)), "thought_tail"]


# slots beside the text: the newest line, whole seconds so far, and "" or what the model does
FACTS: dict[str, str | int] = {"thought_line": "", "thought_s": 0, "thought_state": ""}


def _last_line(text: str) -> str:
    """Returns the end of the last line that says something."""
    return text.rstrip().rpartition("\n")[2].strip()[-LINE_CHARS:]
