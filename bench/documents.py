"""How long a file takes until its text can be asked: the child's start, reading, index and check.

    python -m bench.documents            # and how long the search in each takes
    python -m bench.documents FILE...    # files of one's own

The files are made here. Memory is that of this process: the libraries are in the child's.
"""

import argparse
import asyncio
import random
import resource
import tempfile
import time
from pathlib import Path

import openpyxl
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from genai_app.adapters.documents.passages import find_passages
from genai_app.adapters.documents.reading import ReadingLimits, read_document
from genai_app.errors import AppError

FONT = Path(__file__).parents[1] / "genai_app" / "fonts" / "DejaVuSans.ttf"
RUNS = 3
LIMITS = ReadingLimits(ocr=False)
BUDGET = 6000
QUESTION = "Что с заказом 90417 и почему просрочена оплата договора поставки?"
WORDS = (
    *("договор", "поставки", "оплата", "заказ", "срок", "склад", "насос", "клапан", "контрагент"),
    *("просрочка", "неустойка", "пеня", "приёмка", "отгрузка", "счёт", "сумма", "ставка", "отчёт"),
    *("проверка", "акт", "смена", "пропуск", "сервер", "ошибка"),
)


def prose(random_: random.Random, count: int) -> str:
    """Returns words without sense."""
    return " ".join(random_.choice(WORDS) for _ in range(count))


def write_pdf(path: Path, pages: int) -> None:
    """Writes pages of 42 lines."""
    random_ = random.Random(1)
    pdfmetrics.registerFont(TTFont("Body", str(FONT)))
    canvas = Canvas(str(path))
    for page in range(pages):
        canvas.setFont("Body", 10)
        for line in range(42):
            canvas.drawString(50, 790 - 18 * line, f"{page + 1}.{line + 1} {prose(random_, 9)}")
        canvas.showPage()
    canvas.save()


def write_xlsx(path: Path, rows: int) -> None:
    """Writes a sheet of eight columns."""
    random_ = random.Random(2)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Заказы")
    sheet.append(["Номер", "Дата", "Контрагент", "Город", "Товар", "Кол-во", "Цена", "Состояние"])
    for number in range(rows):
        words = [random_.choice(WORDS) for _ in range(4)]
        price = round(random_.random() * 1e5, 2)
        day = f"2026-03-{number % 28 + 1:02}"
        sheet.append([84000 + number, day, *words[:3], number % 90, price, words[3]])
    book.save(path)


def write_log(path: Path, size: int) -> None:
    """Writes lines until the file has a size in bytes."""
    random_ = random.Random(3)
    with path.open("w", encoding="utf-8") as file:
        number = 0
        while file.tell() < size:
            number += 1
            file.write(
                f"2026-03-05 11:{number // 60 % 60:02}:{number % 60:02},{number % 1000:03} INFO "
                f"[worker-{number % 16}] order={70000 + number} ip=10.0.{number % 250}.7 "
                f"{prose(random_, 6)}\n"
            )


async def measure(path: Path) -> str:
    """Returns the quickest and the slowest of some readings, and of searches."""
    times: list[float] = []
    searches: list[float] = []
    what, cpu = "", resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as target:
            began = time.perf_counter()
            try:
                summary = await read_document(path, path.name, Path(target), LIMITS)
                what = f"{summary.pages} {summary.unit}s, {summary.chars:,} characters"
            except AppError as error:
                what = error.code
            times.append(time.perf_counter() - began)
            if not what.startswith("file_"):
                began = time.perf_counter()
                count = len(find_passages(Path(target), QUESTION, BUDGET))
                searches.append(time.perf_counter() - began)
                what += f", {count} passages"
    shown = f"{min(searches) * 1000:.0f}-{max(searches) * 1000:.0f} ms" if searches else "-"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = (after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime) / RUNS
    return f"{min(times):5.2f}-{max(times):5.2f} s ({spent:.2f} s of CPU)  search {shown:10} {what}"


def run(paths: list[Path]) -> None:
    """Measures each file, then the memory of this process."""
    for path in paths:
        size = path.stat().st_size / 1e6
        print(f"{path.name:20} {size:5.2f} MB  {asyncio.run(measure(path))}")
    who = {"this process": resource.RUSAGE_SELF, "the largest child": resource.RUSAGE_CHILDREN}
    for name, each in who.items():
        print(f"{name}: {resource.getrusage(each).ru_maxrss / 1024:.0f} MB at its peak")


def main() -> None:
    """Makes the files and measures them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("files", nargs="*", type=Path)
    chosen: list[Path] = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        if not chosen:
            made = Path(folder)
            write_pdf(made / "200-pages.pdf", 200)
            write_xlsx(made / "12000-rows.xlsx", 12_000)
            write_log(made / "6-mb.log", 6_000_000)
            (made / "one-line.txt").write_text("Насосы отгружены.")
            chosen = sorted(made.iterdir())
        run(chosen)


if __name__ == "__main__":
    main()
