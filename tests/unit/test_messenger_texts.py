"""How long answers are cut, and how Markdown becomes the HTML of Telegram."""

import re

import pytest

from genai_app.adapters.messenger import ChatUpdate, UpdateKind
from genai_app.adapters.telegram.html import to_html
from genai_app.services.messengers.admission import code_of
from genai_app.services.messengers.commands import wanted
from genai_app.services.messengers.parts import PartOfText, next_part
from tests import corpora
from tests.corpora.hostile import SHAPES
from tests.fakes.telegram_server import shown_text


def fits(markdown: str) -> bool:
    return len(to_html(markdown).encode("utf-16-le")) // 2 <= 4080


def parts_of(text: str) -> list[PartOfText]:
    parts: list[PartOfText] = []
    start, opening = 0, ""
    while True:
        part = next_part(text, start, opening, fits)
        assert part.end > start
        parts.append(part)
        if part.end >= len(text):
            return parts
        start, opening = part.end, part.opening


@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"word{n}" for n in range(3000)),
        "```python\n" + "\n".join(f"word{n} = a<b" for n in range(900)) + "\n```\nend",
        "~~~\n" + "\n".join(f"word{n} ```" for n in range(900)) + "\n~~~",
        "".join(f"word{n}&&&&&&&&" for n in range(2000)),
        "word0" + "\u2764\ufe0f" * 5000,
        "&" * 20_000,
    ],
)
def test_no_word_is_lost_and_no_message_too_long(text: str) -> None:
    parts = parts_of(text)
    assert len(parts) > 1
    shown = [shown_text(to_html(part.markdown)) for part in parts]
    assert all(len(each.encode("utf-16-le")) // 2 <= 4096 for each in shown)
    words = re.findall(r"word\d+", text)
    # a word may be cut where there is no better way
    assert re.findall(r"word\d+", re.sub(r"\s", "", "".join(shown))) == words


def test_code_is_closed_and_opened_again() -> None:
    text = "```sql\n" + "select 1;\n" * 900 + "```\n\nThat is all."
    parts = parts_of(text)
    assert all(part.markdown.startswith("```sql\n") for part in parts[:-1])
    assert all('<code class="language-sql">' in to_html(part.markdown) for part in parts[:-1])
    assert to_html(parts[-1].markdown).endswith("That is all.")


@pytest.mark.parametrize("text", [*corpora.load("xss"), *corpora.load("unicode")])
def test_telegram_can_parse_whatever_a_model_writes(text: str) -> None:
    """No tag but those that Telegram knows, closed in order; HTML of a model is text."""
    shown_text(to_html(text))


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_hostile_markdown_is_parsed_too(name: str) -> None:
    for part in parts_of(SHAPES[name](9000)):
        shown_text(to_html(part.markdown))


def test_formatting() -> None:
    html = to_html(
        "# Head\n\n**b** *i* ~~s~~ `c<d` [l](https://a.b/?x=1&y=2)\n\n- one\n- two\n\n> q"
    )
    assert html == (
        "<b>Head</b>\n\n<b>b</b> <i>i</i> <s>s</s> <code>c&lt;d</code>"
        ' <a href="https://a.b/?x=1&amp;y=2">l</a>\n• one\n• two\n\n<blockquote>q</blockquote>'
    )
    assert to_html("[x](javascript:alert) ![a](http://evil/p.png)") == "[x](javascript:alert) a"


@pytest.mark.parametrize(
    ("text", "mark", "what", "argument"),
    [
        ("/new", "/", "new", ""),
        ("/NEW@corp_bot", "/", "new", ""),
        ("/lang en", "/", "lang", "en"),
        ("/start", "/", "help", ""),
        ("/nonsense", "/", "unknown", ""),
        ("new", "/", "question", "new"),
        ("new", "", "new", ""),
        ("new rules?", "", "question", "new rules?"),
    ],
)
def test_commands(text: str, mark: str, what: str, argument: str) -> None:
    update = ChatUpdate("1", UpdateKind.TEXT, "2", "2", text=text)
    found = wanted(update, mark=mark)
    assert (found.what, found.argument) == (what, argument)


@pytest.mark.parametrize("mark", ["/", ""])
def test_forwarded_commands(mark: str) -> None:
    """What begins with a slash is none of whoever forwards it, even where it is no command."""

    def what(text: str) -> str:
        update = ChatUpdate("1", UpdateKind.TEXT, "2", "2", text=text, forwarded=True)
        return wanted(update, mark=mark).what

    assert what(f"{mark}unlink") == what(f"{mark}lang en") == what("/nonsense") == "forwarded"
    assert what("Unlink me?") == "question"


def test_codes() -> None:
    def code(text: str, *, forwarded: bool = False) -> str | None:
        return code_of(ChatUpdate("1", UpdateKind.TEXT, "2", "2", text=text, forwarded=forwarded))

    assert code("/start abc") == code("start abc") == code("/start@bot abc") == "abc"
    assert code("/start") is code("start a b") is code("/start abc", forwarded=True) is None
