"""What is to be read in the files of the corpus: on which page, which text; what is warned of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """A file. `texts`: pairs of a page and a text that it has. `absent`: what is in no page."""

    name: str
    media_type: str
    pages: int
    texts: tuple[tuple[int, str], ...]
    warnings: frozenset[str] = frozenset()
    absent: tuple[str, ...] = ()
    encoding: str | None = None


WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ORDER = "hidden_text instructions"
CONTRACT = (
    (1, "Договор поставки № 47/2026-П"),
    (1, "г. Нижний Новгород, 5 марта 2026 года"),
    (1, "Насосы по ГОСТ 22247-96, класс точности второй."),
    (1, "сорока пяти рабочих дней"),
    (1, "| НЦ-118 | Насос центробежный | 12 | 48 300,50 |"),
    (1, "| КЛ-04 | Клапан обратный | | 1 250,00 |"),
    (1, "Споры рассматривает Арбитражный суд"),
    (1, "Конфиденциально, экземпляр 2"),
)
SALES = (
    (1, "| Дата | Контрагент | Сумма | С НДС | Маржа |"),
    (1, "| 2026-03-05 | АО «Северный ветер» | 1250.75 | 1525.915 | 0.31 |"),
    (2, "| Дзержинск | 84 |"),
    (3, "скидка директора 17 процентов"),
)
PLAN = (
    (1, "План запуска «Аврора»"),
    (1, "Бюджет 3,4 млн рублей"),
    (1, "[notes] Сказать про риск задержки серверов"),
    (2, "28 ноября"),
)
LETTER = (
    (1, "Уважаемый Фёдор Иванович! Прошу согласовать отгрузку насосов до 18 апреля."),
    (1, "пропуск заказывает начальник смены Щербакова."),
)


def letter(name: str, encoding: str) -> Fact:
    """The same letter in an encoding."""
    return Fact(name, "text/plain", 1, LETTER, encoding=encoding)


def warned(words: str) -> frozenset[str]:
    """Codes of warnings."""
    return frozenset(words.split())


FACTS = (
    Fact("contract.docx", WORD, 1, CONTRACT, warned(f"{ORDER} tracked_changes"), ("тридцати",)),
    Fact("renamed-docx.pdf", WORD, 1, CONTRACT, warned(f"{ORDER} tracked_changes")),
    Fact(
        "contract.odt",
        "application/vnd.oasis.opendocument.text",
        1,
        CONTRACT,
        warned(f"{ORDER} tracked_changes"),
        ("тридцати",),
    ),
    Fact("contract.doc", "application/msword", 1, CONTRACT, warned("instructions")),
    Fact(
        "contract.rtf",
        "application/rtf",
        1,
        CONTRACT,
        warned(f"{ORDER} tracked_changes"),
        ("тридцати",),
    ),
    Fact("contract.html", "text/html", 1, CONTRACT, warned(ORDER)),
    Fact(
        "contract.pdf",
        "application/pdf",
        3,
        (
            (1, "Договор поставки № 47/2026-П"),
            (1, "Насосы по ГОСТ 22247-96, класс точности второй."),
            (2, "| НЦ-118 | Насос центробежный | 12 | 48 300,50 |"),
            (2, "| КЛ-04 | Клапан обратный | | 1 250,00 |"),
            (3, "Споры рассматривает Арбитражный суд Нижегородской области."),
        ),
        warned(ORDER),
    ),
    Fact("sales.xlsx", EXCEL, 3, SALES, warned("hidden_cells")),
    Fact("no-extension", EXCEL, 3, SALES, warned("hidden_cells")),
    Fact("sales.xls", "application/vnd.ms-excel", 3, SALES, warned("hidden_cells")),
    Fact(
        "sales.ods",
        "application/vnd.oasis.opendocument.spreadsheet",
        3,
        SALES,
        warned("hidden_cells"),
    ),
    Fact("sales.csv", "text/csv", 1, ((1, "| 17.04.2026 | ИП Ёлкина | 300 | 366 | 0.12 |"),)),
    Fact(
        "sales.pdf",
        "application/pdf",
        2,
        (
            (1, "| 1250.75 | 1525.915 |"),
            (1, "| 17.04.2026 | ИП Ёлкина | 300 | 366 |"),
            (2, "Дзержинск"),
        ),
    ),
    Fact(
        "revenue.csv", "text/csv", 1, ((1, "| Пермь | 06.03.2026 | 980,10 |"),), encoding="cp1251"
    ),
    Fact("prices.tsv", "text/csv", 1, ((1, "| НЦ-118 | 48300,50 |"),), encoding="utf-16"),
    Fact(
        "plan.pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        2,
        (*PLAN, (2, "| Приёмка | 28 ноября |")),
    ),
    Fact("plan.ppt", "application/vnd.ms-powerpoint", 2, PLAN),
    Fact(
        "plan.odp",
        "application/vnd.oasis.opendocument.presentation",
        2,
        (*PLAN, (2, "| Приёмка | 28 ноября |")),
    ),
    Fact(
        "plan.pdf",
        "application/pdf",
        2,
        ((1, "пилот в Саратове, 14 рабочих мест"), (2, "| Приёмка | 28 ноября |")),
    ),
    Fact(
        "columns.pdf",
        "application/pdf",
        3,
        (
            (1, "левая колонка строка 1 про насосы и клапаны\nлевая колонка строка 2"),
            (1, "клапаны\nправая колонка строка 1 про сроки и цены\n"),
            (3, "метка-3"),
        ),
    ),
    Fact(
        "hidden.pdf",
        "application/pdf",
        1,
        ((1, "стаж девять лет"), (1, "Белое на синем видно всем")),
        warned(ORDER),
    ),
    letter("letter-utf8.txt", "utf-8"),
    letter("letter-utf8-mark.txt", "utf-8-sig"),
    letter("letter-cp1251.txt", "cp1251"),
    letter("letter-koi8r.txt", "koi8-r"),
    letter("letter-cp866.txt", "cp866"),
    letter("letter-iso8859-5.txt", "iso8859-5"),
    letter("letter-utf16.txt", "utf-16"),
    letter("letter-utf16-le-bare.txt", "utf-16-le"),
    letter("letter-utf16-be-bare.txt", "utf-16-be"),
    Fact("short-cp1251.txt", "text/plain", 1, ((1, "Привет, это тест"),), encoding="cp1251"),
    Fact("capitals-koi8r.txt", "text/plain", 1, ((1, "АКТ СВЕРКИ РАСЧЁТОВ"),), encoding="koi8-r"),
    Fact("french.txt", "text/plain", 1, ((1, "Où est passée l'élève"),), encoding="cp1252"),
    Fact("notes.md", "text/markdown", 1, ((1, "## Риски"),)),
    Fact("config.yaml", "application/yaml", 1, ((1, "порт: 8443"),)),
    Fact("data.json", "application/json", 1, ((1, '"заказ": 90417'),)),
    Fact("feed.xml", "application/xml", 1, ((1, '<товар код="КЛ-04">Клапан</товар>'),)),
    Fact(
        "total.js",
        "text/plain",
        1,
        ((1, "  return rows.reduce((sum, row) => sum + row.price, 0)"),),
    ),
    Fact("query.sql", "text/plain", 1, ((1, "store = 'Дзержинск'"),), encoding="cp1251"),
    Fact("module.bsl", "text/plain", 1, ((1, "Процедура ПровестиДокумент(Ссылка)"),)),
    Fact("server.log", "text/plain", 1, ((1, "timeout at gw-7, заказ 90417 не оплачен"),)),
    Fact(
        "page-cp1251.html",
        "text/html",
        1,
        ((1, "# Регламент отпусков"), (1, "за 14 дней"), (1, "| 5 лет | 31 |")),
        warned(ORDER),
        ("секрет скрипта", "color:red"),
    ),
    Fact(
        "letter.eml",
        "message/rfc822",
        3,
        (
            (1, "From: Щербакова Анна <anna@example.test>"),
            (1, "счёт во вложении, оплатить до пятницы"),
            (2, "| НЦ-118 | Насос центробежный | 12 | 48 300,50 |"),
            (3, "Пароль от склада сменить в среду."),
        ),
        warned(f"{ORDER} tracked_changes left_out"),
    ),
    Fact(
        "html-koi8r.eml",
        "message/rfc822",
        1,
        ((1, "Subject: Перенос"), (1, "Совещание перенесено на вторник, переговорная Волга.")),
    ),
    Fact(
        "outlook.msg",
        "application/vnd.ms-outlook",
        2,
        (
            (1, "From: Сидоров Пётр"),
            (1, "Прошу отпуск с 6 июля на две недели."),
            (2, "Заявление от Сидорова"),
        ),
    ),
    Fact("scan.pdf", "application/pdf", 1, (), warned("picture_pages")),
    *(
        Fact(f"screen.{ending}", f"image/{ending}", 0, ())
        for ending in ("png", "webp", "bmp", "gif", "tiff")
    ),
    Fact("photo.jpg", "image/jpeg", 0, ()),
)
