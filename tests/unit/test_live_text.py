"""The growing answer in slots: nothing lost, little written, cut only where Markdown allows."""

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genai_app.markdown.guard import LINE_END, displayed
from genai_app.services.generation.model_call import MAX_ANSWER_CHARS
from genai_app.state.chat.live_text import (
    BLOCK_CHARS,
    BLOCKS,
    PIECES,
    TAIL_CHARS,
    LiveText,
    slot_names,
)
from tests import corpora

# Written per byte of the answer, when it is drawn every 20 characters: six for the tail, one for
# the piece, the rest for joining full slots, however long the answer is.
BOUND = 15
FEED = 20


class Client:
    """What a browser keeps: it starts with what an earlier answer left."""

    def __init__(self) -> None:
        self.slots = dict.fromkeys(slot_names(), "left by an earlier answer")
        self.written = 0

    def apply(self, changes: dict[str, str]) -> None:
        self.written += sum(len(value.encode()) for value in changes.values())
        self.slots.update(changes)

    @property
    def text(self) -> str:
        return "".join(self.slots[name] for name in slot_names())

    @property
    def blocks(self) -> list[str]:
        """The finished blocks, without empty slots."""
        texts = (self.slots[f"block_{n}"] for n in range(BLOCKS))
        return [text for text in texts if text]


def assert_shows(shown: str, fed: str) -> None:
    """What the page has is the text, but for the marks that make it safe to render."""
    if shown != fed:
        assert "```text\n" in shown or "\\" in fed or "$" in fed
        fed, shown = (
            each.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")
            for each in (fed, shown)
        )
        if LINE_END in shown:  # a very long plain block has its last lines in one
            fed, shown = fed.replace("\n", LINE_END), shown.replace("\n", LINE_END)
        rest = iter(shown)
        assert all(character in rest for character in fed)


def _show(pieces: Iterable[str], every: int = 1) -> Client:
    """A client that is told after every `every` pieces, and is right each time."""
    live, client, fed = LiveText(), Client(), ""
    for number, piece in enumerate(pieces):
        live.feed(piece)
        fed += piece
        if number % every == 0:
            client.apply(live.changes())
            assert len(client.slots["tail"]) <= TAIL_CHARS
    client.apply(live.changes())
    assert_shows(client.text, fed)
    return client


def _cut(text: str, size: int) -> list[str]:
    return [text[begin : begin + size] for begin in range(0, len(text), size)]


LINES = st.sampled_from(
    [
        *("\n", "\n\n", "\r\n", "\r\n\r\n", "\r", "\u2028", " ", "\t", "  ", "    "),
        *("```", "```python\n", "````", "~~~", "~~~~\n", "```\n", "`", "- ", "1. ", "* a\n", "| "),
        *("# Heading\n", "> ", "слово ", "word\n", "x" * TAIL_CHARS, "long line " * 40 + "\n\n"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES | st.text(max_size=30)), st.integers(1, 5))
@example(["a\n\n" * 200] * 5, 1)
def test_any_text_in_any_pieces(pieces: list[str], every: int) -> None:
    """N5: whenever one looks, blocks, pieces and tail are the text fed so far."""
    live, client, fed = LiveText(), Client(), ""
    for number, piece in enumerate(pieces):
        live.feed(piece)
        fed += piece
        if number % every == 0:
            client.apply(live.changes())
            assert_shows(client.text, fed)
    client.apply(live.changes())
    assert_shows(client.text, fed)
    assert live.changes() == {}


def test_corpus() -> None:
    for name in ("unicode", "xss"):
        text = "\n\n".join(corpora.load(name)).encode("utf-16", "surrogatepass")
        _show(_cut(text.decode("utf-16", "replace"), 3))


def test_line_ends_stay_where_no_formula_changes() -> None:
    """As in what is shown of the saved answer."""
    text = "a\r\nb\rfor $5 c:\\d\n"
    assert _show(_cut(text, 3)).text == text == displayed(text).text


def test_first_changes_clear_everything() -> None:
    """N7: nothing of an earlier answer stays on the page."""
    live, client = LiveText(), Client()
    client.apply(live.changes())
    assert client.slots == dict.fromkeys([*slot_names(), "tail_plain"], "")


@pytest.mark.parametrize("size", [1, 7, FEED, 1000, 100_000])
def test_overflow_of_the_slots(size: int) -> None:
    """More blocks, and more pieces of one block, than there are slots."""
    blocks = "".join(f"{n} {'word ' * 80}\n\n" for n in range(BLOCKS * 3))
    pieces = "слово " * (TAIL_CHARS * PIECES // 2)
    client = _show(_cut(blocks + pieces + "\n\n" + blocks, size), every=5)
    assert len(client.blocks) > 1


def _markdown(length: int) -> str:
    random_, parts = random.Random(7), list[str]()
    while sum(map(len, parts)) < length:
        parts += [
            f"## Heading {len(parts)}\n\n",
            "A sentence of the answer. " * random_.randrange(1, 30) + "\n\n",
            "- one\n- two\n\n- three\n\n",
            "```python\n" + "x = 1\n\n" * random_.randrange(1, 40) + "```\n\n",
            "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * random_.randrange(1, 20) + "\n",
        ]
    return "".join(parts)[:length]


TEXTS = {
    "one line": lambda length: "слово " * (length // 6),
    "lines": lambda length: "one line of words\n" * (length // 18),
    "code": lambda length: "```\n" + "x = 1\n\n" * (length // 7),
    "list": lambda length: "- item\n\n" * (length // 8),
    "markdown": _markdown,
}


@pytest.mark.parametrize("length", [1000, 10_000, 100_000, MAX_ANSWER_CHARS])
@pytest.mark.parametrize("kind", TEXTS)
def test_bytes_written(kind: str, length: int) -> None:
    text = TEXTS[kind](length)
    live, client = LiveText(), Client()
    for piece in _cut(text, FEED):
        live.feed(piece)
        client.apply(live.changes())
    assert_shows(client.text, text)
    assert client.written <= BOUND * len(text.encode())


def test_finished_blocks_are_written_once() -> None:
    """The browser parses a finished block once, as long as there are free slots."""
    live, finished = LiveText(), dict[str, str]()
    for piece in _cut(_markdown(BLOCKS * BLOCK_CHARS // 2), FEED):
        live.feed(piece)
        for name, value in live.changes().items():
            if name.startswith("block_") and value:
                assert name not in finished
                finished[name] = value
    assert len(finished) > 10


CODE = "x = 1\n\n" * 100
WHOLE = {
    "fence": f"```python\n{CODE}```",
    "tilde": f"~~~\n{CODE}~~~",
    "indented fence": f"   ```\n{CODE[:350]}  ```",
    "longer end": f"```\n{CODE}`````   ",
    "tab at the end": f"```\n{CODE}```\t",
    "nested": f"````markdown\n```\n{CODE}```\n\n{CODE}````",
    "tilde in it": f"```\n~~~\n\n{CODE}~~~\n{CODE}```",
    "backticks in tilde": f"~~~ a`b\n{CODE}```\n{CODE}~~~",
    "end with words": f"```\n{CODE}``` no end\n{CODE}```",
    "list": "- an item with some words\n\n" * 40,
    "numbers": "".join(f"{n}. item\n\n   more of it\n\n" for n in range(20)),
    "tabs": "".join(f"{n}. item\n\n\tmore of it\n\n" for n in range(20)),
    "code in a list": "1. Do this:\n\n   ```sh\n" + "   ls\n\n" * 40 + "   ```\n\n2. Then that",
    "code at a bullet": "- ```\n" + "  ls\n\n" * 40 + "  ```",
    "deep list": "- a\n\n  - b\n\n    - c\n\n      words\n\n" * 10,
    "table": "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 60,
    "quote": "> words\n>\n" * 36,
    "indented code": "    x = 1\n\n" * 60,
}
PLAIN = {
    "words": "Words and more of them. " * 20,
    "heading": "# Heading",
    "inline code": "```not a fence``` but a line that begins with code",
    "rule": "---",
}
EVERYTHING = WHOLE | PLAIN


def _assert_uncut(parts: Sequence[str], end: str = "\n") -> Client:
    """No block ends inside one of the parts, which stand in paragraphs of their own."""
    text = "\n\n".join(parts).replace("\n", end)
    client = _show(_cut(text, 200))
    borders, place = list[tuple[int, int]](), 0
    for part in parts:
        length = len(part.strip("\n").replace("\n", end))
        start = place + len(part) - len(part.lstrip("\n"))
        borders.append((start, start + length))
        place += len(part.replace("\n", end)) + 2 * len(end)
    cut = 0
    for block in client.blocks:
        cut += len(block)
        inside = [text[start:stop] for start, stop in borders if start < cut < stop]
        assert not inside, f"cut in {inside[0][:60]!r}"
    return client


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_never_cut_inside(name: str, end: str) -> None:
    """A fence, a list, a table is in one block from its begin to its end; after it one may cut."""
    words = PLAIN["words"]
    client = _assert_uncut([words, words, WHOLE[name], words, words, words, ""], end)
    assert len(client.blocks) >= 4


@pytest.mark.parametrize("name", PLAIN)
def test_plain_text_opens_nothing(name: str) -> None:
    """What only looks like a fence hides no real one behind it."""
    words = PLAIN["words"]
    client = _assert_uncut([words, PLAIN[name], WHOLE["fence"], words, WHOLE["tilde"], words, ""])
    assert len(client.blocks) >= 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(EVERYTHING)), min_size=2, max_size=5))
def test_any_order(names: list[str]) -> None:
    """Whatever stands before it; neighbours of one kind may be one list or one code block."""
    _assert_uncut([EVERYTHING[name] for name in names])


def test_unclosed_fence() -> None:
    """A fence without an end goes to the end of the answer."""
    client = _show(_cut(PLAIN["words"] + "\n\n```\n" + CODE * 3, FEED))
    assert client.blocks == [PLAIN["words"] + "\n\n"]


def test_short_neighbours_share_a_block() -> None:
    client = _show(_cut("word\n\n" * 500, FEED))
    assert all(len(block) >= BLOCK_CHARS for block in client.blocks)
