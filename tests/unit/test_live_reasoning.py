"""The slots of growing reasoning: all of it at any time, and each flush small."""

import pytest

from genai_app.state.chat.live_reasoning import (
    DONE,
    FACTS,
    LINE_CHARS,
    TAIL_CHARS,
    THINKING,
    LiveReasoning,
    text_slots,
)


class Page:
    """What a page has of it."""

    def __init__(self) -> None:
        self.slots: dict[str, str | int] = {}
        self.sent = 0

    def take(self, changes: dict[str, str | int]) -> None:
        assert set(changes) <= {*text_slots(), *FACTS}
        self.slots |= changes
        self.sent += sum(len(str(value)) for value in changes.values())

    @property
    def text(self) -> str:
        return "".join(str(self.slots[name]) for name in text_slots())


@pytest.mark.parametrize("size", [1, 7, 300, 5_000])
def test_all_of_it_at_any_time(size: int) -> None:
    """100 kB in pieces of any size: nothing is lost or doubled, and little is sent twice."""
    thoughts = "".join(f"step {number}\n" for number in range(9_000))[:100_000]
    live, page = LiveReasoning(), Page()
    for begin in range(0, len(thoughts), size):
        live.feed(thoughts[begin : begin + size], begin, answers=False)
        page.take(live.changes())
        assert page.text == thoughts[: begin + size]
        assert page.slots["thought_state"] == THINKING
    flushes = len(thoughts) / size
    assert page.sent < 14 * len(thoughts) + flushes * (TAIL_CHARS + LINE_CHARS + 10)


def test_the_newest_line_and_the_time() -> None:
    live, page = LiveReasoning(), Page()
    live.feed("First.\nSecond one", 1_900, answers=False)
    page.take(live.changes())
    assert (page.slots["thought_line"], page.slots["thought_s"]) == ("Second one", 1)
    live.feed("\n\n", 2_100, answers=False)
    page.take(live.changes())
    assert (page.slots["thought_line"], page.slots["thought_s"]) == ("Second one", 2)
    live.feed("", 2_100, answers=True)
    page.take(live.changes())
    assert (page.slots["thought_line"], page.slots["thought_state"]) == ("", DONE)
    assert page.text == "First.\nSecond one\n\n"
    live.feed("", 2_100, answers=True)
    assert live.changes() == {}  # the answer's flushes are as small as ever


def test_an_answer_without_thoughts_shows_none() -> None:
    """The first flush clears what an earlier answer left."""
    live = LiveReasoning()
    live.feed("", None, answers=True)
    assert live.changes() == {**dict.fromkeys(text_slots(), ""), **FACTS}
    live.feed("", None, answers=True)
    assert live.changes() == {}
