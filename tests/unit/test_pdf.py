"""The PDF of a dialog."""

import asyncio
import socket
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pypdf
import pytest

from genai_app.errors import TooLarge, Unavailable
from genai_app.services.exports import pdf_file as export_pdf
from genai_app.services.exports.pdf.blocks import Block, markdown, plain
from genai_app.services.exports.pdf_file import PdfFile
from genai_app.services.exports.rows import ExportedMessage, Head
from genai_app.services.exports.text_files import Facts
from genai_app.text import clean_text
from tests.corpora import load

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
HEAD = Head(uuid.uuid4(), "Отпуск: сколько дней", AT, AT)
SAMPLES = [clean_text(each) for each in load("unicode")]


def line(text: str, *, asks: bool = False) -> ExportedMessage:
    author = "user" if asks else "assistant"
    rest = (None, None, text, "", "")
    return ExportedMessage(
        HEAD, uuid.uuid4(), None, AT, author, "web", "complete", None, "model", "qwen3", *rest
    )


async def drawn(path: Path, *rows: ExportedMessage, title: str = "Отпуск") -> str:
    """The text of the PDF's pages."""
    file = PdfFile(path, Facts("ru", title, "alice", one_dialog=True))
    try:
        await file.open()
        await file.add(rows)
        await file.close()
    finally:
        await file.abort()
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def letters(text: str) -> str:
    """Without white space: where a line is broken is for the layout to say."""
    return "".join(text.split())


async def test_the_text_of_the_page_is_the_text(tmp_path: Path) -> None:
    """Every sample of the corpus comes out as it went in, has it a glyph or not."""
    text = letters(await drawn(tmp_path / "x.pdf", *(line(each, asks=True) for each in SAMPLES)))
    assert [each for each in SAMPLES if letters(each) not in text] == []


async def test_words_of_a_line_stay_apart(tmp_path: Path) -> None:
    text = await drawn(tmp_path / "x.pdf", line("Привет, **мир** и `код`! Ёж  съел."))
    assert "Привет, мир и код! Ёж  съел." in text


async def test_markdown_is_drawn(tmp_path: Path) -> None:
    """Headings, lists, quotes, code and tables, the marks of Markdown gone."""
    answer = "# Итог\n\n1. раз\n2. два\n   - внутри\n\n> цитата\n\n```py\nx  =  1\n```\n"
    answer += "\n| Что | Где |\n|---|---|\n| ядро | `/boot` |\n\n~~нет~~ [ссылка](https://a.test/)"
    text = await drawn(tmp_path / "x.pdf", line(answer))
    for part in ("Итог", "1.", "раз", "•", "внутри", "цитата", "x  =  1", "ядро", "/boot", "нет"):
        assert part in text
    for mark in ("#", "```", "|", "~~", "](", "> "):
        assert mark not in text
    annotations = pypdf.PdfReader(tmp_path / "x.pdf").pages[0].annotations or []
    links = [annotation.get_object() for annotation in annotations]
    assert [link["/A"]["/URI"] for link in links] == ["https://a.test/"]  # type: ignore[index]


async def test_nothing_is_fetched_and_markup_is_text(tmp_path: Path) -> None:
    """A listener on loopback stays silent; tags, entities and addresses are what they are."""
    heard: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        port = server.getsockname()[1]
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    heard.append(server.accept())
                except TimeoutError:
                    continue

        listening = threading.Thread(target=listen)
        listening.start()
        url = f"http://127.0.0.1:{port}/x.png"
        attacks = [
            f"<img src={url}>",
            '<span color="red" onclick=x>literal</span>',
            f'<para><img src="{url}" width="9"/></para>',
            "<b>x</b <font name=[].__class__>y</font> &lt;tag&gt; &#65;",
            "<a href='file:///etc/passwd'>z</a>",
        ]
        answer = f"![the picture]({url})\n\n![r][1]\n\n[1]: {url}\n\n" + "\n\n".join(attacks)
        answer += "\n\n[run](javascript:alert(1)) [file](file:///etc/passwd)"
        text = letters(
            await drawn(
                tmp_path / "x.pdf",
                line("\n".join(attacks), asks=True),
                line(answer),
                title=attacks[0],
            )
        )
        over.set()
        listening.join()
    assert heard == []
    for attack in attacks[:3]:
        assert text.count(letters(attack)) >= 2
    assert letters("[run](javascript:alert(1))") in text
    assert "thepicture" in text
    assert "root:" not in text
    raw = (tmp_path / "x.pdf").read_bytes()
    assert b"/URI" not in raw
    assert b"/JavaScript" not in raw


async def test_long_words_long_code_and_deep_lists(tmp_path: Path) -> None:
    """Nothing is lost at the edge of a page or a line."""
    deep = "\n".join("  " * depth + f"- пункт{depth}" for depth in range(30))
    code = "```\n" + "\n".join(f"{n:04}" + "x" * 300 for n in range(120)) + "\n```"
    cell = "| a | b |\n|---|---|\n| " + "слово " * 2000 + " | конец |"
    whole = "Ж" * 5000
    text = letters(await drawn(tmp_path / "x.pdf", line(deep), line(code), line(cell), line(whole)))
    assert all(f"пункт{depth}" in text for depth in range(30))
    assert all(f"{n:04}xxx" in text for n in range(120))
    assert "конец" in text
    assert text.count("слово") == 2000
    assert text.count("Ж") == 5000


async def test_no_nesting_is_too_deep(tmp_path: Path) -> None:
    """A parser that stops at some depth must not lose what stands there."""
    text = await drawn(tmp_path / "x.pdf", line("> " * 2000 + "глубоко"), line("[" * 5000 + "x"))
    assert "глубоко" in text


async def test_a_text_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is gone, and the next one is drawn."""
    monkeypatch.setattr(export_pdf, "DEADLINE_S", 0.0)
    with pytest.raises(TooLarge, match="export_too_slow"):
        await drawn(tmp_path / "x.pdf", line("x" * 1_000_000))
    monkeypatch.undo()
    assert "да" in await drawn(tmp_path / "y.pdf", line("да"))


async def test_a_process_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_pdf, "DRAWN_BY", "genai_app.services.no_such")
    with pytest.raises(Unavailable, match="export_failed"):
        await drawn(tmp_path / "x.pdf", line("x" * 1_000_000))


async def test_it_has_none_of_our_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_SECRET_KEY", "canary-secret")
    file = PdfFile(tmp_path / "x.pdf", Facts("ru", "x", "alice"))
    await file.open()
    assert file._process is not None
    told = Path(f"/proc/{file._process.pid}/environ")
    try:
        environment = await asyncio.to_thread(told.read_bytes)
    finally:
        await file.abort()
    assert b"canary-secret" not in environment


def test_lines_that_were_typed_stay() -> None:
    assert [block.spans[0].text for block in plain("a\n\n  b\r\nc")] == ["a", "", "  b", "c"]
    assert plain("") != []


def test_html_of_an_answer_is_no_block_of_its_own() -> None:
    (block,) = markdown("<div>\n\n")
    assert isinstance(block, Block)
    assert block.spans[0].text == "<div>"
    assert replace(block.spans[0], text="") == replace(plain("x")[0].spans[0], text="")


async def test_a_hostile_answer_is_drawn_whole_and_formulas_as_typed(tmp_path: Path) -> None:
    """What the guard leaves plain is in the file, with a note; each answer is bounded alone."""
    formula = r"Set \(\{1,2\}\), rows \\ end, $$c_{i}^{*} d_{j}^{*}$$."
    hostile = "Начало\n\n" + "> " * 3000 + "глубоко\n\n" + "*a **b " * 300 + "конец"
    bomb = "|" + "a|" * 900 + "\n|" + "-|" * 900 + "\n" + "|\n" * 900 + "\nпосле"
    text = letters(await drawn(tmp_path / "x.pdf", line(formula), line(hostile), line(bomb)))
    assert letters(formula) in text
    for word in ("Начало", "глубоко", "конец", "после"):
        assert word in text
    assert text.count("безоформления") == 2
