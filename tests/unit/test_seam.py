"""The seam between an answer and its continuation: no letter twice, none lost."""

import pytest

from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.services.generation.seam import (
    AGAIN_CHARS,
    AskedSeam,
    ExactSeam,
    WrittenAnew,
    language_of,
    turns_for_rest,
)

TEXTS = (
    "The consequences are clear: nobody reads it, so nothing changes. Ask them in May.",
    "Последствия ясны: никто его не читает, и ничего не изменится.\n\nСпросите в мае.",
    "Steps:\n\n1. Open the box.\n2. Take 100 g; not 110 g.\n\n```python\nif a:\n    b()\n```\n",
    "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15",
)


def joined(seam: ExactSeam | AskedSeam, part: str, rest: str, size: int) -> str:
    """Returns the whole answer when the rest comes in pieces of that size."""
    pieces = [rest[at : at + size] for at in range(0, len(rest), size)]
    return part + "".join(seam.feed(each) for each in pieces) + seam.end()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_an_exact_continuation_is_taken_letter_for_letter(text: str, size: int) -> None:
    """Split at every letter, also within a word and at a blank."""
    for at in range(len(text) + 1):
        assert joined(ExactSeam(text[:at]), text[:at], text[at:], size) == text


@pytest.mark.parametrize("text", ["ha ha ha ha ha ha ha", "1111111111111111", "\n\n\n\n- a\n\n- a"])
def test_an_exact_continuation_may_repeat_itself(text: str) -> None:
    for at in range(1, 8):
        assert joined(ExactSeam(text[:at]), text[:at], text[at:], 1) == text


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_answer_that_is_written_anew_is_told(size: int) -> None:
    """A server that does not know how to go on begins from the start."""
    text = " ".join(f"word{n}" for n in range(100))
    with pytest.raises(WrittenAnew):
        joined(ExactSeam(text[:300]), text[:300], text[:200], size)
    assert joined(ExactSeam(text[:AGAIN_CHARS]), text[:AGAIN_CHARS], text, size) == text


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_repeated_words_are_left_out(text: str, size: int) -> None:
    """Split at every letter; the rest begins again at each word before, as far back as it likes."""
    for at in range(2, len(text) + 1):
        part = text[:at]
        starts = [
            n
            for n in range(at)
            if not text[n].isspace()
            and (n == 0 or not text[n - 1].isalnum())
            and len(part[n:].strip()) > 1
        ]
        for start in starts:
            assert joined(AskedSeam(part), part, text[start:], size) == text, (part, text[start:])


@pytest.mark.parametrize("text", TEXTS[:2])
def test_a_rest_without_a_repetition_gets_its_blank(text: str) -> None:
    """A model begins with a word: the blank before it is lost, or comes twice."""
    for at in range(1, len(text)):
        if text[at] != " ":
            continue
        for part in (text[:at], text[: at + 1]):
            for rest in (text[at + 1 :], text[at:]):
                assert joined(AskedSeam(part), part, rest, 3) == text, (part, rest)


@pytest.mark.parametrize(
    ("part", "rest", "whole"),
    [
        ("Hello", ", world", "Hello, world"),
        ("Hello (", "world)", "Hello (world)"),
        ("a well-", "kept house", "a well-kept house"),
        ("First.\n\n", "\n\nSecond.", "First.\n\nSecond."),
        ("- one\n", "    - two", "- one\n    - two"),
        ("I have a", "and b", "I have a and b"),
        ("I have a", "a dog", "I have a dog"),
        ("in the ", "in the\nbox", "in the box"),
        ("The end", "end.", "The end."),
        ("The end", "", "The end"),
        ("Mind the", "\n\nthe gap", "Mind the gap"),
        ("один", "два", "один два"),
    ],
)
def test_the_white_space_at_the_seam(part: str, rest: str, whole: str) -> None:
    for size in (1, 2, 1000):
        assert joined(AskedSeam(part), part, rest, size) == whole


def test_a_long_answer_that_is_repeated_whole() -> None:
    part = " ".join(f"слово{n}" for n in range(400))
    assert joined(AskedSeam(part), part, f"{part} конец", 11) == f"{part} конец"


def test_the_rest_is_asked_for_in_the_words_of_the_answer() -> None:
    turns = [ChatTurn("user", "Why?"), ChatTurn("assistant", "Потому что всё меняется и")]
    *before, last = turns_for_rest(turns)
    assert before == turns
    assert last.role == "user"
    assert last.content.startswith("Ответ оборвался.")
    assert last.content.endswith("\n\nПотому что всё меняется и")
    long = turns_for_rest([ChatTurn("assistant", "word " * 100)])[-1].content
    assert len(long.rpartition("\n\n")[2]) <= 80


@pytest.mark.parametrize(
    ("text", "language"),
    [("Почему API молчит?", "ru"), ("What is «да»?", "en"), ("1 + 1", "en"), ("", "en")],
)
def test_the_language_of_a_text(text: str, language: str) -> None:
    assert language_of(text) == language
