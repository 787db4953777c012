"""The parts of a file that a question is about: words in any form, numbers, names; rows of tables;
within a budget, quickly."""

import time
from pathlib import Path

import pytest

from genai_app.adapters.documents.passages import Passage, find_passages
from genai_app.adapters.documents.reading import ReadingLimits, read_document
from genai_app.adapters.documents.text import DocumentText
from tests.corpora.documents.make import log_lines

PLAIN = ReadingLimits(ocr=False)
TOPICS = {
    "Отпуска": "Заявление на отпуск подают за четырнадцать дней до его начала.",
    "Командировки": "Суточные в командировке составляют 1200 рублей, отчёт сдают за три дня.",
    "Пропуска": "Пропуск на склад выдаёт начальник смены Щербакова по заявке ПР-7714.",
    "Серверы": "Резервный сервер srv-mail-02 стоит в Саратове, его ёмкость 40 терабайт.",
}


async def read_text(tmp_path: Path, name: str, text: str) -> Path:
    """Reads a text and returns the directory with its index."""
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / name).write_text(text, encoding="utf-8")
    await read_document(tmp_path / name, name, target, PLAIN)
    return target


@pytest.fixture
async def handbook(tmp_path: Path) -> Path:
    """A text of four chapters with much that is about nothing."""
    filler = "Настоящий раздел описывает общий порядок и применяется ко всем работникам. " * 30
    chapters = [f"# {title}\n\n{filler}\n\n{text}\n\n{filler}" for title, text in TOPICS.items()]
    return await read_text(tmp_path, "handbook.md", "\n\n".join(chapters))


@pytest.mark.parametrize(
    ("question", "words", "heading"),
    [
        ("За сколько дней подавать заявления на отпуска?", "за четырнадцать дней", "Отпуска"),
        ("Кто выдает пропуск по заявке ПР-7714?", "начальник смены Щербакова", "Пропуска"),
        ("емкость резервного сервера", "40 терабайт", "Серверы"),
        ("что такое srv-mail-02?", "стоит в Саратове", "Серверы"),
        ("Сколько платят суточных в командировках?", "1200 рублей", "Командировки"),
    ],
)
async def test_the_passage_of_a_question_is_first(
    question: str, words: str, heading: str, handbook: Path
) -> None:
    passages = find_passages(handbook, question, 1500)
    best = max(passages, key=lambda each: each.score)
    assert words in best.text
    assert best.heading == heading


async def test_passages_stand_in_order_within_the_budget(handbook: Path) -> None:
    passages = find_passages(handbook, "порядок раздела: отпуск, сервер, пропуск, суточные", 1200)
    assert sum(each.tokens for each in passages) <= 1200
    numbers = [each.number for each in passages]
    assert numbers == sorted(numbers)
    assert len(passages) > 1
    assert find_passages(handbook, "порядок", 10) == []


async def test_nothing_is_found_for_words_that_are_not_there(handbook: Path) -> None:
    for question in ("квантовая хромодинамика", "", "и в на не", '" OR * NEAR(', "а" * 9000):
        assert find_passages(handbook, question, 1000) == []


async def test_passages_together_are_the_text(handbook: Path) -> None:
    with DocumentText(handbook) as text:
        pages = text.pages()
        whole = "".join(text.page(page.number) for page in pages)
    assert sum(page.chars for page in pages) == len(whole)
    for words in TOPICS.values():
        assert words in whole


async def test_rows_of_a_table_come_below_its_head(tmp_path: Path) -> None:
    rows = [f"{70000 + n};Контрагент {n % 90};{n},50;оплачен" for n in range(12_000)]
    rows[9041] = "79041;ИП Ёлкина;300,75;просрочен"
    text = "\n".join(["Заказ;Контрагент;Сумма;Состояние", *rows])
    target = await read_text(tmp_path, "orders.csv", text)
    (passage,) = find_passages(target, "Какая сумма у заказа 79041 и что с ним у Елкиной?", 800)
    lines = passage.text.split("\n")
    assert lines[0] == "| Заказ | Контрагент | Сумма | Состояние |"
    assert "| 79041 | ИП Ёлкина | 300,75 | просрочен |" in lines
    assert passage.tokens <= 800
    with DocumentText(target) as reader:
        (overview,) = reader.tables()
    assert overview.rows == 12_000
    assert {column.name: column.type for column in overview.columns} == {
        **{"Заказ": "number", "Контрагент": "text"},
        **{"Сумма": "number", "Состояние": "text"},
    }
    values = {column.name: column.values for column in overview.columns}
    assert ("просрочен", 1) in values["Состояние"]


async def test_a_long_log_is_searched_soon(tmp_path: Path) -> None:
    text = "".join("".join(log_lines(300)).replace("90417", str(number)) for number in range(300))
    target = await read_text(tmp_path, "server.log", text)
    began = time.perf_counter()
    passages: list[Passage] = find_passages(target, "почему не оплачен заказ 217?", 2000)
    assert time.perf_counter() - began < 1.0
    assert any("заказ 217 не оплачен" in each.text for each in passages)
    assert all(each.label for each in passages)
