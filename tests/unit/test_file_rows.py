"""Rows of files as a page shows them."""

import uuid

import pytest

from genai_app.i18n import LOCALES
from genai_app.models import Author, Message
from genai_app.services.files.usage import FileUse, uses_to_json
from genai_app.state.chat.draft_files import MAX_ATTACHED, checked_ids
from genai_app.state.chat.shown_files import cited
from genai_app.state.file_page import MOST_CELLS, MOST_ROWS, table_of
from genai_app.state.files import extent_text, halves_of, size_text

ID = str(uuid.UUID(int=7))


def use(name: str, pages: int = 3) -> FileUse:
    return FileUse(id=ID, name=name, kind="pdf", unit="page", pages=pages, how="whole")


def answer(text: str, *uses: FileUse) -> Message:
    return Message(
        dialog_id=uuid.uuid4(), author=Author.ASSISTANT, text=text, files_used=uses_to_json(uses)
    )


@pytest.mark.parametrize("name", ["", "a.txt", "договор.pdf", "x" * 300 + ".docx", "👩‍👩‍👧" * 20])
def test_a_name_is_its_two_halves(name: str) -> None:
    head, tail = halves_of(name)
    assert head + tail == name
    assert len(tail) <= 10


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, ("0", "b")),
        (1023, ("1023", "b")),
        (1024, ("1", "kb")),
        (1536, ("1.5", "kb")),
        (30 * 1024**2, ("30", "mb")),
        (1024**3, ("1", "gb")),
    ],
)
def test_sizes(size: int, shown: tuple[str, str]) -> None:
    assert size_text(size) == shown


@pytest.mark.parametrize("unit", ["page", "sheet", "slide", "part", "lines"])
@pytest.mark.parametrize("pages", [0, 1, 2, 5, 21, 3000])
def test_the_extent_is_counted_in_both_languages(unit: str, pages: int) -> None:
    for locale in LOCALES:
        text = extent_text(unit, pages)[locale]
        assert "|" not in text
        assert text == "" or text.startswith(str(pages))
    assert extent_text("slide", 2)["ru"] == "2 слайда"
    assert extent_text("sheet", 21)["ru"] == "21 лист"


def test_a_citation_becomes_a_link_to_its_page() -> None:
    text = "Срок — год [a_b.pdf, стр. 2]. Ещё [c.pdf, стр. 1]."
    shown = cited(answer(text, use("a_b.pdf")))
    assert f"(#file-{ID}-2)" in shown
    assert "[a\\_b\\.pdf\\, стр\\.\u00a02]" in shown  # the name is no Markdown
    assert "[c.pdf, стр. 1]" in shown  # no file of the question
    assert cited(answer(text)) == text


@pytest.mark.parametrize(
    "odd", [None, 7, "x", {}, [7], [None], ["x"], [ID + " "], [ID] * (MAX_ATTACHED + 1)]
)
def test_ids_are_checked(odd: object) -> None:
    assert checked_ids(odd) is None
    assert checked_ids([ID, ID]) == [ID]


def test_a_table_is_cut() -> None:
    head = "| a | b \\| c |\n| --- | --- |\n"
    assert table_of(head + "| 1 | 2 |\n") == [["a", "b | c"], ["1", "2"]]
    assert len(table_of(head + "| 1 | 2 |\n" * 5000)) == MOST_ROWS + 1
    wide = "|" + " x |" * 500
    assert len(table_of(f"{wide}\n|{' --- |' * 500}\n{wide}")[1]) == MOST_CELLS
    assert table_of("no table") == []
    assert table_of("| half") == []
