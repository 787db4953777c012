"""Marks in answers that name files and pages: those that are true, and no others."""

import pytest

from genai_app.services.files.citations import find_citations
from genai_app.services.files.usage import FileUse, How, files_used, uses_to_json

CONTRACT = FileUse("1", "договор [копия].pdf", "pdf", "page", 12, "parts", (1, 3))
TABLE = FileUse("2", "sales.xlsx", "sheets", "sheet", 2, "whole")
PICTURE = FileUse("3", "Снимок экрана.png", "picture", "page", 0, "whole", (), 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Да [договор копия.pdf, стр. 3].", ("1", 3)),
        ("Да [Договор  копия.PDF, с. 3].", ("1", 3)),
        ("Да [договор копия.pdf, страница 3].", ("1", 3)),
        ("Yes [договор копия.pdf, p. 12].", ("1", 12)),
        ("Yes [договор копия.pdf, pages 3-5].", ("1", 3)),
        ("[sales.xlsx, лист 2]", ("2", 2)),
        ("[sales.xlsx, sheet 1 «Продажи»]", None),
        ("[sales.xlsx]", ("2", 0)),
        ("[Снимок экрана.png]", ("3", 0)),
        ("[договор копия.pdf, стр. 13]", None),  # it has 12
        ("[другой.pdf, стр. 1]", None),
        ("[sales.xlsx](http://example.org)", None),
        ("`[sales.xlsx]`", None),
        ("```\n[sales.xlsx]\n```", None),
        ("[sales.xlsx, лист 2", None),
    ],
)
def test_marks(text: str, expected: tuple[str, int] | None) -> None:
    found = find_citations(text, [CONTRACT, TABLE, PICTURE])
    assert [(each.file_id, each.page) for each in found] == ([expected] if expected else [])
    for each in found:
        assert text[each.start : each.end] == each.mark


@pytest.mark.parametrize("how", ["left_out", "deleted"])
def test_what_was_not_given_is_not_cited(how: How) -> None:
    use = FileUse("1", "a.pdf", "pdf", "page", 3, how)
    assert find_citations("[a.pdf, стр. 1]", [use]) == []


def test_many_marks() -> None:
    """A long answer of nothing but brackets takes no long time and has a bound."""
    assert len(find_citations("[sales.xlsx] " * 1000 + "[" * 50_000, [TABLE])) == 200


def test_kept() -> None:
    uses = [CONTRACT, TABLE]
    assert files_used(uses_to_json(uses)) == uses
    assert uses_to_json([]) is None
    assert files_used(None) == []


@pytest.mark.parametrize("locale", ["ru", "en"])
def test_lines(locale: str) -> None:
    assert "2" in CONTRACT.text(locale)
    assert "12" in CONTRACT.text(locale)
    assert TABLE.text(locale) == ""
