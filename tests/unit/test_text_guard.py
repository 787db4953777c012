"""The text guard: what is too much for a renderer is left plain, everything else is as it was."""

import re
import time
from statistics import median

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from genai_app.markdown.guard import (
    BUDGET,
    LINE_END,
    MIN_PLAIN_LINES,
    PLAIN,
    PLAIN_LINE,
    displayed,
    guarded,
    part_cost,
)
from genai_app.markdown.parts import parts_of
from tests import corpora
from tests.corpora.hostile import hostile_texts

TEXTS = dict(hostile_texts())
ENOUGH = 200
MAX_DEPTH = 100
MAX_TOKENS = 9000
GENEROUS_S = 1.0  # 5 ms are usual; see docs/performance.md

ORDINARY = {
    "everything": "# Итог\n\nПервое *слово*, **второе** и `третье`. [Ссылка](https://a.test/b_c).\n\n"
    "1. раз\n2. два\n   - внутри\n     - глубже\n\n> цитата\n> > ответ\n\n"
    "| Что | Где |\n|---|---:|\n| ядро | `/boot` |\n\n```py\nx = [[1], {'a': '*'}]\n```\n\n---\n",
    "fill in": "Фамилия: ____________________________\n\nИмя: ____________________________\n",
    "rule of stars": "* * * * * * * * * * * * * * * * * * * * * * * * * * * * * * * * * * * *\n",
    "a long table": "| a | b | c |\n|---|---|---|\n" + "| 1 | **2** | `x_y` |\n" * 150,
    "forty steps": "".join(f"{n}. **`--flag-{n}`**: what *it* does\n" for n in range(40)),
    "notes": "".join(f"- цена* [{n}] (*без НДС\n" for n in range(60)),
    "code in steps": "1. Do:\n\n   ```sh\n   ls -l\n   ```\n\n2. Then\n   ```\n   x\n   ```\n" * 10,
    "long code": "```python\n" + "a_b = [c[0] for c in d]  # **x**\n" * 900 + "```\n",
    "prose of 60 kB": ("Предложение средней длины, в котором нет разметки. " * 12 + "\n\n") * 98,
}


def depth(tokens: list[Token]) -> int:
    """Returns how deep a tree of these tokens would be."""
    inner = [(token.level, child.level) for token in tokens for child in token.children or []]
    return max([token.level for token in tokens] + [sum(levels) for levels in inner], default=0)


def test_every_hostile_text_parses_within_bounds() -> None:
    """Measured by another parser, which stops at no depth of its own."""
    assert len(TEXTS) >= ENOUGH
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 10_000})
    parser.enable(["table", "strikethrough"])
    for name, text in TEXTS.items():
        safe = displayed(text)
        tokens = parser.parse(safe.text)
        assert depth(tokens) <= MAX_DEPTH, name
        count = len(tokens) + sum(len(token.children or []) for token in tokens)
        assert count <= MAX_TOKENS, name
        assert safe.cost <= BUDGET + MIN_PLAIN_LINES * PLAIN_LINE + 3000, name


def test_nothing_is_lost_and_a_second_time_changes_nothing() -> None:
    for name, text in TEXTS.items():
        safe = guarded(text)
        assert guarded(safe.text).text == safe.text, name
        assert (safe.text == text) == (not safe.left_plain), name
        if safe.left_plain:
            text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        rest = iter(safe.text.replace(LINE_END, "\n"))
        assert all(character in rest for character in text), name


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_text_stays_as_it_is(name: str) -> None:
    assert displayed(ORDINARY[name]).text == ORDINARY[name]
    assert not displayed(ORDINARY[name]).left_plain


@pytest.mark.parametrize("sample", corpora.load("unicode"))
def test_the_unicode_samples_stay(sample: str) -> None:
    assert not guarded(sample).left_plain


def test_a_bad_part_leaves_the_others_formatted() -> None:
    words = "Обычный **абзац** ответа. " * 80 + "\n\n"
    safe = guarded(words + "> " * 500 + "глубоко\n\n" + words)
    assert safe.left_plain
    assert safe.text.startswith(words)
    assert safe.text.endswith(words)
    assert f"```{PLAIN}\n> > >" in safe.text


def test_what_is_past_the_budget_is_one_block() -> None:
    text = ("## Шаг\n\n- **раз**\n- `два`\n\n" * 10 + "```py\nx = 1\n```\n\n") * 200
    safe = guarded(text)
    parts = parts_of(safe.text)
    assert parts is not None
    assert [part.language for part in parts].count(PLAIN) == 1
    assert parts[-1].language == PLAIN
    assert parts[-1].body.replace(LINE_END, "\n").endswith("```py\nx = 1\n```\n")
    assert sum(map(part_cost, parts)) == pytest.approx(safe.cost, abs=10)


@pytest.mark.parametrize(
    "before",
    [
        "- a\n  ```\n",
        "- ```\nfoo\n  ```\n```\n",
        "   ```\na\n```\n",
        "\ufeff```\n```\n",
        "> ```\n\n",
        "1. ```\n\tx\n   ```\n",
        "a\r```\r```\r",
    ],
)
def test_no_fence_hides_what_stands_behind_it(before: str) -> None:
    """The scanner takes for code only what every parser takes for code."""
    assert guarded(before + ">" * 5000 + "\n").left_plain


def test_a_fence_is_longer_than_what_it_holds() -> None:
    text = "`````\n" + "```" + "\n" + "- " * 4000 + "a\n"
    assert guarded("x ````` y\n" + "> " * 300).text.startswith("``````text\n")
    assert not guarded(text).left_plain  # it is code already


def test_accents_without_end_get_a_base() -> None:
    """None of the text is lost; letters with a usual number of accents stay as they are."""
    usual = "Ё́ ы̄̃ क्षि กำ้ 👩‍👩‍👧‍👦 — … «»" * 50
    assert displayed(usual).text == usual
    for accent in ("\u0301", "\u0e49", "\u064e", "\u20e3"):
        text = f"a{accent * 1000}b"
        shown = displayed(text).text
        assert shown.replace("\u25cc", "") == text
        assert max(map(len, re.findall(f"{accent}+", shown))) == 30
        assert displayed(shown).text == shown


def test_lines_without_end_become_one() -> None:
    """Each is still there, with the sign of its end."""
    shown = displayed(">\n" * 50_000)
    body = shown.text.removeprefix("```text\n").partition("\n```")[0]
    assert shown.left_plain
    assert body.count("\n") == 12_000
    assert body.replace("\u00b6", "\n") == ">\n" * 49_999 + ">"
    assert displayed(shown.text).text == shown.text


def displayed_s(text: str) -> float:
    """Returns the seconds of CPU that the guard takes for a text."""
    started = time.thread_time()
    displayed(text)
    return time.thread_time() - started


def test_it_is_quick() -> None:
    """A sanity bound only: it runs in the event loop."""
    seconds: list[float] = []
    for name, text in TEXTS.items():
        seconds.append(min(displayed_s(text) for _ in range(2)))  # of one a collection may be part
        assert seconds[-1] < GENEROUS_S, name
    assert median(seconds) < GENEROUS_S / 10
