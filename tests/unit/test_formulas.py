r"""Formulas and backslashes are shown as they were typed, on a page as in a document."""

import re

import pytest
from markdown_it import MarkdownIt

from genai_app.markdown.guard import displayed

TAG = re.compile(r"</?(?!em|strong)[a-z0-9]+[^>]*>")
PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def shown(text: str) -> str:
    """Returns the words of the rendered text, emphasis as tags."""
    html = PARSER.render(displayed(text).text).replace("<br />", "")
    plain = TAG.sub("", html)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        plain = plain.replace(entity, character)
    return plain.strip("\n")


@pytest.mark.parametrize(
    "text",
    [
        r"Inline \(E=mc^2\) and \[\int_0^1 x\,dx\] and set \(\{1,2\}\), rows \\ end.",
        r"$$c_{i}^{*} d_{j}^{*}$$.",
        r"$c_{i}^{*} d_{j}^{*}$ and \(a_1*b*c\) with [x] and <y> & z",
        "\\[\n\\int_0^1 x\\,dx\n+ y * 2 * 3\n- z\n= 5\n1. a\n# b\n\\]",
        "$$\n\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}\n$$",
        r"unclosed \( x and \] y",
        r"C:\\Users\\{name} and \{set\}",
        r"\\(x\\) \\\(y\\\)",
        r"\[ a \] b \[ c",
        "Слово $$a$$ и $$b_{*}c_{*}$$ конец",
    ],
)
def test_shown_as_typed(text: str) -> None:
    assert shown(text) == text


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
        ("> \\[\n> a_1 \\\\\n> \\]", "\\[\na_1 \\\\\n\\]"),
        ("1. Шаг\n\n   ```\n   \\(a\\)\n   ```\n\n   \\(b\\)", "Шаг\n\\(a\\)\n\n\\(b\\)"),
    ],
)
def test_code_and_markdown_stay_what_they_are(text: str, expected: str) -> None:
    assert re.sub(r"\n+", "\n", shown(text)) == re.sub(r"\n+", "\n", expected)


def test_a_table_of_prices_stays_a_table() -> None:
    text = "| a | b | c |\n|---|---|---|\n| $$ | *x* | $$ |\n| \\(x\\) | $a_1$ | \\{ |\n"
    html = PARSER.render(displayed(text).text)
    assert html.count("<td>") == 6
    assert "<td>\\(x\\)</td>" in html
    assert "<em>x</em>" in html
