"""Messages above the newest ones. Each page of them is a var of its own, because a changed var is
sent whole: so they are sent once, and drawn once.

From the top: `far_0 ...` are around a message that was searched for, then a gap where messages are
left out, then `near_0 ...`, then the messages of ChatState. Without a search there is no gap, and
nothing in `far_0 ...`.
"""

from collections.abc import Sequence

import reflex as rx

from genai_app.models import Message
from genai_app.services.dialogs.branches import Branch
from genai_app.state.chat.rows import MessageRow, message_rows

FAR = [f"far_{number}" for number in range(60)]
HIT_PART = 20  # of FAR: the one that is filled first
NEAR = [f"near_{number}" for number in range(60)]


class EarlierState(rx.State):
    """The messages, and where more of them may be loaded."""

    first: str = ""  # the id of the first message here; "" for none
    has_older: bool = False  # there are messages before it
    gap_from: str = ""  # the ids of the messages above and below the gap; "" without one
    gap_to: str = ""
    skipped: int = 0  # messages in the gap

    _start_depth: int = 0  # of the message below the gap

    def _clear(self) -> None:
        for name in (*FAR, *NEAR):
            if getattr(self, name):
                setattr(self, name, [])
        self.first = self.gap_from = self.gap_to = ""
        self.has_older, self.skipped = False, 0

    def _rows(self, names: Sequence[str] = (*FAR, *NEAR)) -> list[MessageRow]:
        return [row for name in names for row in getattr(self, name)]

    def _fit(self, newest: Branch) -> None:
        """Forgets what `newest` does not go on from: it is of another branch or dialog."""
        start = newest.messages[0] if newest.messages else None
        if start is None or not self.first:
            self._clear()
        elif self.gap_to and not self._rows(NEAR):
            if self.gap_to != str(start.id):
                self._clear()
        elif self._rows()[-1].id != str(start.parent_id):
            self._clear()

    def _show_hit(self, around: Branch, newest: Branch) -> None:
        """Shows the messages around one that was searched for, far above `newest`."""
        self._clear()
        start = newest.messages[0]
        messages = [m for m in around.messages if m.depth < start.depth]
        rows = _rows_of(around, messages)
        setattr(self, FAR[HIT_PART], rows)
        self.first, self.has_older = rows[0].id, around.has_older
        self._start_depth, self.gap_to = start.depth, str(start.id)
        self._begin_gap(messages[-1])

    def _add_above(self, branch: Branch) -> None:
        """Shows the messages before the first one on the page."""
        rows = message_rows(branch)
        names = FAR if self._rows(FAR) else NEAR
        self._put(names, rows, above=True)
        self.first, self.has_older = rows[0].id if rows else self.first, branch.has_older

    def _fill_down(self, branch: Branch) -> None:
        """Shows the messages after the upper end of the gap."""
        messages = [m for m in branch.messages if m.depth < self._start_depth]
        if not messages:
            self._end_gap()
            return
        self._put(FAR, _rows_of(branch, messages), above=False)
        self._begin_gap(messages[-1])

    def _fill_up(self, branch: Branch) -> None:
        """Shows the messages before the lower end of the gap."""
        above = {row.id for row in self._rows(FAR)}
        messages = [m for m in branch.messages if str(m.id) not in above]
        self._put(NEAR, _rows_of(branch, messages), above=True)
        self.skipped -= len(messages)
        if self.skipped <= 0 or not messages:
            self._end_gap()
        else:
            self._start_depth, self.gap_to = messages[0].depth, str(messages[0].id)

    def _begin_gap(self, upper: Message) -> None:
        self.gap_from, self.skipped = str(upper.id), self._start_depth - upper.depth - 1
        if self.skipped <= 0:
            self._end_gap()

    def _end_gap(self) -> None:
        self.gap_from = self.gap_to = ""
        self.skipped = 0

    def _put(self, names: Sequence[str], rows: list[MessageRow], *, above: bool) -> None:
        """Fills the next part above or below those that are filled; the last one takes all that
        comes after it."""
        filled = [index for index, name in enumerate(names) if getattr(self, name)]
        if above:
            index = max(filled[0] - 1, 0) if filled else len(names) - 1
            before = getattr(self, names[index])
            setattr(self, names[index], [*rows, *before])
        else:
            index = min(filled[-1] + 1, len(names) - 1)
            before = getattr(self, names[index])
            setattr(self, names[index], [*before, *rows])


def _rows_of(branch: Branch, messages: Sequence[Message]) -> list[MessageRow]:
    ids = {str(message.id) for message in messages}
    return [row for row in message_rows(branch) if row.id in ids]


for _name in (*FAR, *NEAR):
    EarlierState.add_var(_name, list[MessageRow], [])
