"""Parts of documents that the files of the corpus lack, each in the smallest file that has it.
Readers look at names without their namespaces, so these need none."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import openpyxl
from openpyxl.comments import Comment
from reportlab.pdfgen.canvas import Canvas

from genai_app.adapters.documents.reading import ReadingLimits, read_document
from genai_app.adapters.documents.text import DocumentText

PLAIN = ReadingLimits(ocr=False)
RELATION = '<Relationship Id="{}" Type="x/{}" Target="{}"/>'


async def pages_of(name: str, content: bytes, folder: Path) -> tuple[list[str], dict[str, int]]:
    """The text of each page, and how often each warning was given."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(content)
    target.mkdir()
    summary = await read_document(source, name, target, PLAIN)
    warnings = {warning.code: warning.count for warning in summary.warnings}
    with DocumentText(target) as text:
        return [text.page(page.number) for page in text.pages()], dict(warnings)


def packed(parts: Mapping[str, str]) -> bytes:
    """A zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return buffer.getvalue()


def relations(*each: tuple[str, str, str]) -> str:
    """The part that names other parts: ids, kinds and targets."""
    return f"<Relationships>{''.join(RELATION.format(*one) for one in each)}</Relationships>"


def run(text: str, style: str = "") -> str:
    return f"<r><rPr>{style}</rPr><t>{text}</t></r>"


async def word(body: str, folder: Path, **parts: str) -> tuple[list[str], dict[str, int]]:
    """Reads a document with this body."""
    files = {f"word/{name}.xml": content for name, content in parts.items()}
    main = f"<document><body>{body}</body></document>"
    return await pages_of("a.docx", packed({"word/document.xml": main, **files}), folder)


async def test_tracked_changes_are_read_as_accepted(tmp_path: Path) -> None:
    body = (
        f"<p>{run('Срок ')}<del><r><delText>десять</delText></r></del><ins>{run('двадцать')}</ins>"
        f"<moveFrom>{run('унесено')}</moveFrom><moveTo>{run(' дней')}</moveTo></p>"
        f"<tbl><tr><trPr><del/></trPr><tc><p>{run('удалённая строка')}</p></tc></tr>"
        f"<tr><tc><p>{run('живая строка')}</p></tc></tr></tbl>"
    )
    (text,), warnings = await word(body, tmp_path)
    assert "Срок двадцать дней" in text
    assert "живая строка" in text
    assert "удалённая" not in text
    assert "унесено" not in text
    assert set(warnings) == {"tracked_changes"}


async def test_pages_of_word_are_those_that_it_wrote(tmp_path: Path) -> None:
    mark = "<lastRenderedPageBreak/>"
    body = (
        f"<p>{run('первая')}<r><footnoteReference id='7'/></r></p>"
        f"<p><r>{mark}<t>вторая</t></r></p><p>{run('ещё вторая')}</p>"
    )
    note = f"<footnotes><footnote id='7'><p>{run('сноска')}</p></footnote></footnotes>"
    (first, second), _ = await word(body, tmp_path, footnotes=note)
    assert "первая[^7]" in first
    assert "[^7]: сноска" in first
    assert second == "вторая\n\nещё вторая"


async def test_cells_of_a_table_stand_below_their_heads(tmp_path: Path) -> None:
    def cell(text: str, span: int = 1) -> str:
        return f"<tc><tcPr><gridSpan val='{span}'/></tcPr><p>{run(text)}</p></tc>"

    body = (
        f"<tbl><tr>{cell('широкая', 2)}{cell('узкая')}</tr>"
        f"<tr>{cell('a|b')}{cell('2')}{cell('3')}</tr></tbl>"
    )
    (text,), _ = await word(body, tmp_path)
    assert text == "| широкая | | узкая |\n| --- | --- | --- |\n| a\\|b | 2 | 3 |"


async def test_what_nobody_sees_in_word_is_pointed_out(tmp_path: Path) -> None:
    styles = (
        "<styles><style styleId='ghost'><name val='Ghost'/><rPr><vanish/></rPr></style></styles>"
    )
    white, tiny = "<color val='FFFFFF'/>", "<sz val='2'/>"
    marked = f"{white}<highlight val='yellow'/>"
    body = (
        f"<p>{run('спрятано', '<vanish/>')}{run('точка', tiny)}{run('белое', white)}</p>"
        f"<p><pPr><pStyle val='ghost'/></pPr>{run('стилем')}</p>"
        f"<p>{run('на жёлтом', marked)}</p>"
        f"<tbl><tr><tc><p>{run('шапка', white)}</p></tc></tr></tbl>"
    )
    (text,), warnings = await word(body, tmp_path, styles=styles)
    assert warnings == {"hidden_text": 4}
    assert "на жёлтом" in text


async def test_boxes_fields_and_links_of_word_are_read_once(tmp_path: Path) -> None:
    box = f"<txbxContent><p>{run('надпись')}</p></txbxContent>"
    body = (
        f"<p><r><AlternateContent><Choice>{box}</Choice><Fallback>{box}</Fallback>"
        f"</AlternateContent></r></p><p><hyperlink>{run('ссылка')}</hyperlink>"
        f"<r><instrText>PAGE</instrText></r></p>"
        f"<sdt><sdtContent><p>{run('поле формы')}</p></sdtContent></sdt>"
    )
    (text,), _ = await word(body, tmp_path)
    assert text.split() == ["надпись", "ссылка", "поле", "формы"]


async def test_a_slide_has_its_chart_and_what_is_hidden(tmp_path: Path) -> None:
    def shape(text: str, left: int) -> str:
        body = f"<txBody><p><r><t>{text}</t></r></p></txBody>"
        return f"<sp><spPr><xfrm><off x='{left}'/><ext cx='100'/></xfrm></spPr>{body}</sp>"

    def points(tag: str, *values: str) -> str:
        each = "".join(f"<pt idx='{n}'><v>{value}</v></pt>" for n, value in enumerate(values))
        return f"<{tag}>{each}</{tag}>"

    series = points("tx", "Выручка") + points("cat", "Пермь", "Уфа") + points("val", "19.2", "21.4")
    parts = {
        "ppt/presentation.xml": (
            "<presentation xmlns:r='http://x/relationships'><sldSz cx='1000'/><sldIdLst>"
            "<sldId id='256' r:id='r1'/></sldIdLst></presentation>"
        ),
        "ppt/_rels/presentation.xml.rels": relations(("r1", "slide", "slides/one.xml")),
        "ppt/slides/one.xml": f"<sld show='0'>{shape('видно', 10)}{shape('за краем', 5000)}</sld>",
        "ppt/slides/_rels/one.xml.rels": relations(("r1", "chart", "../charts/one.xml")),
        "ppt/charts/one.xml": f"<chart><ser>{series}</ser></chart>",
    }
    (text,), warnings = await pages_of("a.pptx", packed(parts), tmp_path)
    assert "видно" in text
    assert "| | Выручка |\n| --- | --- |\n| Пермь | 19.2 |\n| Уфа | 21.4 |" in text
    assert warnings == {"hidden_text": 1, "hidden_cells": 1}


async def test_a_book_without_calculated_values_says_so(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Расчёт"
    for row in (["Отчёт за март"], ["Код", "Сумма"], ["00123", 10.5], ["00124", "=B3*2"]):
        sheet.append(row)
    sheet["A3"].comment = Comment("проверить код", "Анна")
    sheet.row_dimensions[3].hidden = True
    buffer = io.BytesIO()
    book.save(buffer)
    (text,), warnings = await pages_of("a.xlsx", buffer.getvalue(), tmp_path)
    assert warnings == {"no_cached_values": 1, "hidden_cells": 1}
    assert "| Код | Сумма |\n| --- | --- |\n| 00123 | 10.5 |" in text
    assert "[comment] A3: проверить код" in text


async def test_what_was_filled_into_a_form_is_read(tmp_path: Path) -> None:
    path = tmp_path / "form"
    canvas = Canvas(str(path), invariant=1)
    canvas.drawString(50, 700, "Application")
    canvas.acroForm.textfield(name="name", value="FILLED IN", x=50, y=600, width=200)
    canvas.save()
    (text,), _ = await pages_of("a.pdf", path.read_bytes(), tmp_path)
    assert "FILLED IN" in text
