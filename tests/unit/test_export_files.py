"""The files of exports: formulas, and what spreadsheets can hold."""

import csv
import io
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genai_app.services.exports.rows import ExportedAnswer, ExportedMessage, Head
from genai_app.services.exports.text_files import (
    COLUMNS,
    CsvFile,
    Facts,
    JsonFile,
    MarkdownFile,
    XlsxFile,
    record_of,
    safe_cell,
)
from genai_app.services.exports.xlsx import MAX_CELL, fitting_cell
from genai_app.text import clean_text
from tests.corpora import load

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
HEAD = Head(uuid.uuid4(), "=1+1 отпуск", AT, AT, username="@alice", department="+IT")
DANGEROUS = [
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\rx", "\nx", "＝1+1", "＋1", "－1", "＠x"),
    *(" =1", "\u00a0=1", "\ufeff=1", " \u00a0 -1", "=cmd|' /C calc'!A0", "'=1", "''+1"),
]
HARMLESS = ["", "x", "a=b", "1-2", "'quoted'", '"', ";", "Привет", "5", "a\r\nb", "'"]


def line(text: str, *, asks: bool = True, head: Head = HEAD) -> ExportedMessage:
    author = "user" if asks else "assistant"
    made = None if asks else "qwen3"
    rest = (None, None, text, "", "")
    return ExportedMessage(
        head, uuid.uuid4(), None, AT, author, "web", "complete", None, None, made, *rest
    )


def restored(cell: str) -> str:
    """The text of a cell, as docs/exports.md says: without the apostrophe that was put before."""
    return cell[1:] if cell.startswith("'") and safe_cell(cell[1:]) == cell else cell


def read_csv(path: Path) -> list[list[str]]:
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), delimiter=";"))


@pytest.mark.parametrize("text", DANGEROUS)
def test_what_would_be_a_formula_is_text(text: str) -> None:
    cell = safe_cell(text)
    assert cell == "'" + text
    assert restored(cell) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_formula_stays(text: str) -> None:
    assert restored(safe_cell(text)) == text
    assert safe_cell(text) in (text, "'" + text)


@given(st.text(alphabet="'=+-@ \t\r\n\u00a0\ufeff＝ax", max_size=8))
def test_every_cell_is_safe_and_recoverable(text: str) -> None:
    """Whatever blanks and apostrophes stand before it."""
    cell = safe_cell(text)
    assert not cell.lstrip(" \u00a0\ufeff").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))
    assert restored(cell) == text


def test_csv_round_trip(tmp_path: Path) -> None:
    """Byte order mark, semicolons, all quoted, CRLF; the corpus as it was."""
    samples = [clean_text(each) for each in load("unicode")] + DANGEROUS + HARMLESS
    samples.append('a "quoted"; line\r\nand another')
    file = CsvFile(tmp_path / "x.csv", ExportedMessage)
    file.add([line(text) for text in samples])
    file.close()
    raw = (tmp_path / "x.csv").read_bytes()
    assert raw.endswith(b'"\r\n')
    assert raw[3:].startswith(b'"dialog_id";"title"')
    head, *rows = read_csv(tmp_path / "x.csv")
    assert tuple(head) == COLUMNS[ExportedMessage]
    place = head.index("text")
    assert [restored(row[place]) for row in rows] == samples
    for name in ("title", "user", "department"):
        assert rows[0][head.index(name)].startswith("'")
    assert (tmp_path / "x.csv").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "x.csv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        CsvFile(tmp_path / "x.csv", ExportedMessage)
    assert not (tmp_path / "elsewhere").exists()


def test_xlsx_holds_texts_and_no_formula(tmp_path: Path) -> None:
    """`=1+1` is a text; nothing is written but the workbook."""
    samples = [clean_text(each) for each in load("unicode")] + DANGEROUS + HARMLESS
    path = tmp_path / "x.xlsx"
    file = XlsxFile(path, ExportedMessage, "en")
    file.add([line(text) for text in samples])
    file.close()
    assert list(tmp_path.iterdir()) == [path]
    sheet = openpyxl.load_workbook(path).worksheets[0]
    rows = list(sheet.iter_rows())
    place = COLUMNS[ExportedMessage].index("text")
    for row, text in zip(rows[1:], samples, strict=True):
        assert row[place].data_type != "f"
        assert (row[place].value or "") == fitting_cell(text, "")
    assert all(cell.data_type != "f" for cell in rows[1])
    assert rows[1][1].value == HEAD.title
    assert rows[0][0].font.b
    assert sheet.freeze_panes == "A2"


def test_cells_of_xlsx() -> None:
    """Controls are seen, escapes stay text, what does not fit is told."""
    assert fitting_cell("bell:\x07 nul:\ufffd \x1b[31m", "") == "bell:␇ nul:\ufffd ␛[31m"
    assert fitting_cell("_x0041_ a\r\nb\rc", "") == "_x005F_x0041_ a\nb\nc"
    for text in ("x" * 40_000, "я" * 40_000, "😀" * 20_000):
        cell = fitting_cell(text, "[cut: {count}]")
        assert len(cell.encode("utf-16-le")) // 2 <= MAX_CELL
        kept, mark = cell.split("\n")
        assert text.startswith(kept)
        assert mark == f"[cut: {len(text) - len(kept)}]"
    assert fitting_cell("x" * MAX_CELL, "") == "x" * MAX_CELL


def test_json_of_one_and_of_all(tmp_path: Path) -> None:
    other = Head(uuid.uuid4(), "второй", AT, AT)
    rows = [line("вопрос"), line("ответ", asks=False), line("x", head=other)]
    one = JsonFile(tmp_path / "one", Facts("ru", "отпуск", "alice", one_dialog=True))
    one.add(rows[:1])
    one.add(rows[1:2])
    one.close()
    told = json.loads((tmp_path / "one").read_text())
    assert told["id"] == str(HEAD.id)
    assert [each["text"] for each in told["messages"]] == ["вопрос", "ответ"]
    assert "user" not in told
    everything = JsonFile(tmp_path / "all", Facts("ru", "", "alice"))
    for row in rows:
        everything.add([row])
    everything.close()
    told = json.loads((tmp_path / "all").read_text())
    assert told["user"] == "alice"
    assert [len(each["messages"]) for each in told["dialogs"]] == [2, 1]
    for name, one_dialog in (("none", False), ("nothing", True)):
        empty = JsonFile(tmp_path / name, Facts("ru", "", "alice", one_dialog=one_dialog))
        empty.close()
        assert json.loads((tmp_path / name).read_text()).get("dialogs", []) == []


def test_markdown(tmp_path: Path) -> None:
    file = MarkdownFile(tmp_path / "x.md", Facts("en", "Holidays", "alice", one_dialog=True))
    file.add([line("When?"), line("**Now**\n", asks=False)])
    file.close()
    text = (tmp_path / "x.md").read_text()
    assert text.startswith(
        "# Holidays\n\n*Times are in the UTC time zone.*\n\n## You\n\n*25 November 2026"
    )
    assert "\n## Assistant\n\n*qwen3 · 25" in text
    assert text.endswith("\n**Now**\n")


def test_columns_are_those_of_the_records() -> None:
    pair = ExportedAnswer(uuid.uuid4(), "q", "a", "carol", AT, AT, AT, 0)
    assert tuple(record_of(pair)) == COLUMNS[ExportedAnswer]
    assert tuple(record_of(line("x"))) == COLUMNS[ExportedMessage]
