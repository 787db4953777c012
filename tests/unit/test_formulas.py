r"""Formulas become code spans, which every parser leaves as they are."""

import re

import pytest
from markdown_it import MarkdownIt

from genai_app.markdown.formulas import DISPLAY, FORMULA, INLINE, Allowance
from genai_app.markdown.guard import displayed
from genai_app.markdown.normal import JOINER, normalised
from genai_app.markdown.paragraphs import MAX_FORMULA

TAG = re.compile(r"</?(?!em|strong)[a-z0-9]+[^>]*>")
CODE = re.compile(r"<code>(.*?)</code>")
PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&"))


def plain(html: str) -> str:
    for entity, character in ENTITIES:
        html = html.replace(entity, character)
    return html


def shown(text: str) -> str:
    """Returns the words of the rendered text, emphasis as tags."""
    words = plain(TAG.sub("", PARSER.render(displayed(text).text).replace("<br />", "")))
    return re.sub(f"[{INLINE}{DISPLAY}{JOINER}]", "", words).strip("\n")


def formulas(text: str) -> list[str]:
    """Returns the formulas of the rendered text, each with the sign of its kind."""
    codes = CODE.findall(PARSER.render(displayed(text).text))
    return [plain(code) for code in codes if code.startswith((INLINE, DISPLAY))]


@pytest.mark.parametrize(
    "text",
    [
        r"Inline \(E=mc^2\) and \[\int_0^1 x\,dx\] and set \(\{1,2\}\), rows \\ end.",
        r"$$c_{i}^{*} d_{j}^{*}$$.",
        r"$c_{i}^{*} d_{j}^{*}$ and \(a_1*b*c\) with [x] and <y> & z",
        r"unclosed \( x and \] y",
        r"C:\\Users\\{name} and \{set\}",
        r"\\(x\\) \\\(y\\\)",
        r"\[ a \] b \[ c",
        "Слово $$a$$ и $$b_{*}c_{*}$$ конец",
        r"a ` b \(x\) c `` \(y\)\(w\)",
        "от $5 до $10 и $$ за $$",
    ],
)
def test_the_words_stay_as_typed(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a \(x\) b $$y$$ c", [rf"{INLINE}\(x\)", f"{INLINE}$$y$$"]),
        (r"a \[x\] b", [rf"{DISPLAY}\[x\]"]),
        ("$$\nx\n\n+ y % why\n- z\n= 5\n# b\n$$", [f"{DISPLAY}$$ x + y - z = 5 # b $$"]),
        ("1. Шаг\n\n   \\[\n   a\n   \\]", [rf"{DISPLAY}\[ a \]"]),
        ("> $$\n> a_1 \\\\\n>\n> b\n> $$", [rf"{DISPLAY}$$ a_1 \\ b $$"]),
        ("`x` ``y`` \\(a`b``c\\)", [rf"{INLINE}\(a`b``c\)"]),
        ("\\[\na\n```\n\\]\n```\n", []),  # no formula goes over a fence
        ("- $$\n- *b*\n- $$", []),
        (r"\(\newcommand{\a}{\b\b}\a\)", []),
        (rf"\({'{' * 41}x{'}' * 41}\)", []),
        (rf"\({'x' * MAX_FORMULA}\)", []),
        ("\\[\nx\n" + "\n" * MAX_FORMULA + "\\]", []),
    ],
)
def test_formulas_are_drawn(text: str, expected: list[str]) -> None:
    assert formulas(text) == expected


def test_a_page_has_time_for_so_many_formulas() -> None:
    """The others are there as they were typed."""
    allowance = Allowance(3.5 * FORMULA)
    text = normalised(r"\(a\) \(b\) \(c\) \(d\)", allowance)
    assert text.count(INLINE) == 3
    assert text.endswith(r" \\(d\\)")
    whole = displayed(r"\(a\) " * 500)
    assert 50 < whole.text.count(INLINE) < 300
    assert shown(r"\(a\) " * 300) == (r"\(a\) " * 300).strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a *b* \\(c*d*e\\) *f*", "a <em>b</em> \\(c*d*e\\) <em>f</em>"),
        ("\\*no\\* emphasis", "*no* emphasis"),
        ("$5 and $6 *x* for a_b", "$5 and $6 <em>x</em> for a_b"),
        ("`\\(a_1\\)` and ``\\\\``", "\\(a_1\\) and \\\\"),
        ("```tex\n\\(a\\) \\\\ $$x$$\n```", "\\(a\\) \\\\ $$x$$"),
        ("    code \\\\ \\(x\\)", "code \\\\ \\(x\\)"),
        ("- $$\n- *b*\n- $$", "$$\n<em>b</em>\n$$"),
        ("1. Шаг\n\n   ```\n   \\(a\\)\n   ```\n\n   \\(b\\)", "Шаг\n\\(a\\)\n\n\\(b\\)"),
    ],
)
def test_code_and_markdown_stay_what_they_are(text: str, expected: str) -> None:
    assert re.sub(r"\n+", "\n", shown(text)) == re.sub(r"\n+", "\n", expected)


def test_a_table_of_prices_stays_a_table() -> None:
    text = "| a | b | c |\n|---|---|---|\n| $$ | *x* | $$ |\n| \\(x\\) | $a_1$ | \\{ |\n"
    html = PARSER.render(displayed(text).text)
    assert html.count("<td>") == 6
    assert f"<td><code>{INLINE}\\(x\\)</code></td>" in html
    assert "<em>x</em>" in html
