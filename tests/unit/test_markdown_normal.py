"""What is changed in Markdown so that all readers agree: little, once, and in time that grows with
the text alone."""

import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genai_app.markdown import formulas, normal, paragraphs
from genai_app.markdown.formulas import DISPLAY, INLINE
from genai_app.markdown.normal import JOINER, normalised
from genai_app.markdown.paragraphs import OpenDisplay
from tests.corpora.hostile import hostile_texts

OURS = {module.__file__ for module in (formulas, normal, paragraphs)}
ADDED = f"\\`{INLINE}{DISPLAY}{JOINER}"
MARKS = st.sampled_from(
    [
        *(
            "**",
            "*",
            "`",
            "``",
            "```",
            "\\",
            "\\(",
            "\\)",
            "\\[",
            "\\]",
            "$",
            "$$",
            "<br>",
            "<br/>",
        ),
        *("[^1]", "[^1]: ", "[2]", "[2]: ", ":", ")", "«", "слово", "x", " ", "\n", "\n\n", "    "),
        *("- ", "1. ", "> ", "|", "|-|", "#", "%", "{", "}", "\\def", "\\left", "&#10;"),
    ]
)
TEXTS = (
    st.lists(MARKS | st.text(max_size=5), max_size=40)
    .map("".join)
    .map(lambda text: text.replace("\r", ""))
)


def bare(text: str) -> str:
    """Returns the text without what is added, and without what a break is written as."""
    text = re.sub(r"<br[ \t]{0,3}/?>|&#10;", "", text, flags=re.IGNORECASE)
    return re.sub(rf"[\s>%{re.escape(ADDED)}]", "", text)


@settings(max_examples=120, deadline=None)
@given(TEXTS)
@example("\\(a\\)\\(b\\)`c`")
@example("$$\na\n\nb\n$$")
def test_no_word_is_lost(text: str) -> None:
    """Only the comments of a formula that becomes one line."""
    if "%" not in text:
        assert bare(normalised(text)) == bare(text)


@settings(max_examples=120, deadline=None)
@given(TEXTS)
def test_once_is_enough(text: str) -> None:
    """A backslash and a dollar mean something else in what is returned."""
    text = re.sub(r"[\\$]", "", text)
    once = normalised(text)
    assert normalised(once) == once


@settings(max_examples=60, deadline=None)
@given(TEXTS.map(lambda text: re.sub("[`~]", "", text)))
def test_code_stays_as_it_is(text: str) -> None:
    code = f"```\n{text}\n```"
    assert normalised(f"**a:**b\n\n{code}") == f"**a:{JOINER}**b\n\n{code}"


def test_text_without_marks_is_the_same() -> None:
    text = "# Итог\n\nСлово *слово* `x` [a](b)\n- раз\n- два\n\n| a |\n|---|\n| b |\n"
    assert normalised(text) is text


@pytest.mark.parametrize(
    ("lines", "open_after"),
    [
        (["$$"], True),
        (["$$", "a", "", "b"], True),
        (["$$", "a", "$$"], False),
        (["  \\[", "x \\]"], False),
        (["$$ a $$"], False),
        (["$$", "```"], False),
        (["$$", "x" * 2000], False),
    ],
)
def test_a_formula_is_open_until_its_end(lines: list[str], open_after: bool) -> None:
    display = OpenDisplay()
    for line in lines:
        display.see(line)
    assert bool(display) == open_after


def steps(call: Callable[[], object]) -> int:
    """Returns how many lines of our modules a call runs: the same on any machine."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in OURS:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


HOSTILE = (
    *(
        "\\(",
        "\\)",
        "\\[\n",
        "$$\n",
        "$$a",
        "$a_1",
        "\\(a\\)",
        "**a:**b",
        "**",
        "<br>",
        "<br ",
        "`",
    ),
    *(
        "[^1]: a\n",
        "[1]: ",
        "[^1] ",
        "- \\[\n",
        "> $$\n",
        "\\[\n\n",
        "$$\n```\n",
        "{",
        "\\(\\left(",
    ),
    *("``a` \\(b\\)", "\\", "\\\\(", "|$$|\n|-|\n", "% \n", " ", "1. ", "  \\]\n"),
)


@pytest.mark.parametrize("unit", HOSTILE)
def test_time_grows_with_the_text(unit: str) -> None:
    """Twice the text takes no more than twice the steps."""
    small, large = (unit * (size // len(unit)) for size in (1500, 6000))
    assert steps(lambda: normalised(large)) <= 4.5 * steps(lambda: normalised(small)) + 200


def test_hostile_texts_pass() -> None:
    """The guard stands before; without it nothing breaks either."""
    for name, text in hostile_texts():
        if len(text) <= 1500:
            assert normalised(text.replace("\r", "\n")) is not None, name
