"""Draws the pictures of README and docs: `python -m tests.e2e.screenshots [DIRECTORY]`.

The product runs as it is; only the model server behind it is scripted.
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, ViewportSize, expect

from genai_app import migrations
from genai_app.db.database import Database
from genai_app.services.accounts.users import Users
from tests.cast import PASSWORDS
from tests.e2e.chromium import launched
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.fakes import model_wire
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say, Think

IMAGES = Path(__file__).parents[2] / "docs" / "images"
DOCUMENTS = Path(__file__).parents[1] / "corpora" / "documents" / "files"
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
SCALE = 2

RU_QUESTION = "Как узнать, что занимает место на диске сервера, и безопасно его освободить?"
RU_ANSWER = """Сначала найдите, **где** занято место, затем решайте, что убрать.

1. Посмотрите, какой раздел заполнен: `df -h`.
2. Найдите самые большие каталоги этого раздела:

```bash
sudo du -xh / --max-depth=2 2>/dev/null | sort -rh | head -15
```

Чаще всего место занимает одно из трёх:

| Что | Где | Как освободить |
|---|---|---|
| Журналы systemd | `/var/log/journal` | `journalctl --vacuum-size=500M` |
| Кэш пакетов | `/var/cache/dnf` | `dnf clean packages` |
| Старые ядра | `/boot` | `dnf remove --oldinstallonly` |

Перед удалением проверьте, что файл никто не держит открытым: `lsof +L1`.
"""
RU_SHORT_QUESTION = "Что занимает место на диске?"
RU_SHORT_ANSWER = RU_ANSWER[: RU_ANSWER.index("Перед удалением")]

RU_EARLIER = (
    (0, "Письмо поставщику о переносе срока"),
    (0, "Ошибка 403 при входе в портал"),
    (1, "Регламент резервного копирования"),
    (1, "Сравнить два договора аренды"),
    (3, "SQL: остатки на складе по дням"),
    (4, "План обучения новых сотрудников"),
    (5, "Перевод инструкции к принтеру"),
)

RU_FORMULA_QUESTION = "Сколько ответов сервер должен готовить сразу, чтобы почти никто не ждал?"
RU_FORMULA_THOUGHTS = """Нужна модель очереди с несколькими местами: подойдёт формула Эрланга.
Сначала загрузка, потом доля тех, кто ждёт. Проверю на числах."""
RU_FORMULA_ANSWER = r"""Если вопросы приходят с частотой \(\lambda\), а ответ длится \(1/\mu\) секунд, загрузка \(c\) мест равна

\[ \rho = \frac{\lambda}{c\,\mu} \]

Вероятность ждать даёт **формула Эрланга**:

$$
P_w = \frac{\dfrac{(c\rho)^c}{c!\,(1-\rho)}}{\displaystyle\sum_{k=0}^{c-1}\frac{(c\rho)^k}{k!} + \frac{(c\rho)^c}{c!\,(1-\rho)}}
$$

Возьмите \(\lambda\) за самый занятый час и наименьшее \(c\), при котором \(P_w < 0{,}1\).
"""  # noqa: E501 - as a model writes it
EN_FORMULA_QUESTION = "How is the error of an average related to the number of measurements?"
EN_FORMULA_THOUGHTS = "The standard error of the mean. Independence matters, so I say it."
EN_FORMULA_ANSWER = r"""For \(n\) **independent** measurements with the deviation \(\sigma\):

\[ \operatorname{SE}(\bar x) = \frac{\sigma}{\sqrt{n}} \]

Four times as many measurements halve the error:

| \(n\) | \(\operatorname{SE}\) |
|---:|---:|
| 25 | \(0.2\,\sigma\) |
| 100 | \(0.1\,\sigma\) |
"""

RU_FILES_QUESTION = "Что грозит за просрочку и во сколько обойдутся насосы?"
RU_FILES_ANSWER = """**За просрочку** — 0,1 % цены за каждый день, всего не больше 10 % [Договор № 47.pdf, стр. 3].

**Насосы** — 12 штук по 48 300,50 ₽, всего 579 606 ₽ [Договор № 47.pdf, стр. 2]:

| Позиция | Количество | Цена |
|---|---:|---:|
| Насос центробежный НЦ-118 | 12 | 48 300,50 ₽ |
| Клапан обратный КЛ-04 | 1 | 1 250,00 ₽ |

Итог спецификации, 580 856 ₽, сходится. Покупатель уже есть в таблице продаж: отгрузка 5 марта [Продажи.xlsx, лист 1].
"""  # noqa: E501 - as a model writes it
EN_FILES_QUESTION = "What happens if we deliver late?"
EN_FILES_ANSWER = """A penalty of **0.1 %** a day, **10 %** at most [Contract 47.pdf, p. 3].

The screenshot shows another problem: error `0x80070005`, access is denied.
"""

EN_QUESTION = "Write a function that retries a request with a growing pause. When must I not retry?"
EN_ANSWER = """Wait twice as long after each failure, and not all clients equally long:

```python
import random
import time


def with_retries(call, attempts=5, first_pause=0.2, longest=10.0):
    for attempt in range(attempts):
        try:
            return call()
        except ConnectionError:
            if attempt == attempts - 1:
                raise
            pause = min(longest, first_pause * 2**attempt)
            time.sleep(pause * random.uniform(0.5, 1.5))
```

Do **not** retry when:

- the request may have been carried out and is not *idempotent*, such as a payment;
- the server said that the request itself is wrong: any `4xx` but `408` and `429`.
"""
EN_EARLIER = (
    (0, "Summary of the quarterly report"),
    (0, "Explain this stack trace"),
    (1, "Interview questions for a tester"),
    (2, "Nginx: redirect HTTP to HTTPS"),
    (4, "Regular expression for invoice numbers"),
    (6, "Draft of the holiday announcement"),
)


@dataclass(frozen=True)
class Picture:
    """One dialog, as `who` sees it."""

    name: str
    who: str
    locale: str
    theme: Literal["light", "dark"]
    question: str
    answer: str
    thoughts: str = ""  # before the answer
    phone: bool = False
    files: tuple[tuple[str, str], ...] = ()  # of the corpus, and the names that they have here


PICTURES = (
    Picture("chat-ru-light", "alice", "ru", "light", RU_QUESTION, RU_ANSWER),
    Picture("chat-en-dark", "bob", "en", "dark", EN_QUESTION, EN_ANSWER),
    Picture(
        *("formulas-ru-dark", "alice", "ru", "dark"),
        *(RU_FORMULA_QUESTION, RU_FORMULA_ANSWER, RU_FORMULA_THOUGHTS),
    ),
    Picture(
        *("formulas-phone", "bob", "en", "light"),
        *(EN_FORMULA_QUESTION, EN_FORMULA_ANSWER, EN_FORMULA_THOUGHTS),
        phone=True,
    ),
    Picture(
        *("files-ru-light", "alice", "ru", "light", RU_FILES_QUESTION, RU_FILES_ANSWER),
        files=(("contract.pdf", "Договор № 47.pdf"), ("sales.xlsx", "Продажи.xlsx")),
    ),
    Picture(
        *("files-phone", "bob", "en", "dark", EN_FILES_QUESTION, EN_FILES_ANSWER),
        phone=True,
        files=(("contract.pdf", "Contract 47.pdf"), ("screen.png", "Screenshot.png")),
    ),
    Picture("phone", "alice", "ru", "light", RU_SHORT_QUESTION, RU_SHORT_ANSWER, phone=True),
)


async def draw(browser: Browser, app: AppProcess, model: ModelServer, picture: Picture) -> bytes:
    """Log in, ask, and take the picture of the whole answer."""
    context = await browser.new_context(
        base_url=app.url,
        viewport=PHONE if picture.phone else DESKTOP,
        device_scale_factor=SCALE,
        color_scheme=picture.theme,
        reduced_motion="reduce",
        has_touch=picture.phone,
        is_mobile=picture.phone,
    )
    await context.add_cookies([{"name": "genai_locale", "value": picture.locale, "url": app.url}])
    tab = Tab(await context.new_page())
    await tab.page.goto("/login")
    await tab.page.get_by_test_id("login-username").fill(picture.who)
    await tab.page.get_by_test_id("login-password").fill(PASSWORDS[picture.who])
    await tab.page.get_by_test_id("login-submit").click()
    await tab.ready()
    # in pieces with pauses, as a model speaks: the seconds below the answer are of this world
    thoughts, answer = (
        [text[i : i + 6] for i in range(0, len(text), 6)]
        for text in (picture.thoughts, picture.answer)
    )
    thinking = [Think(thoughts, 0.1)] if thoughts else []
    model.script_once(*thinking, Say(answer, 0.012), End())
    if picture.files:
        model.sees = True
        await tab.page.get_by_test_id("file-input").set_input_files(
            [
                {"name": name, "mimeType": "", "buffer": (DOCUMENTS / file).read_bytes()}
                for file, name in picture.files
            ]
        )
        ready = tab.page.locator('.composer [data-state="ready"]')
        await expect(ready).to_have_count(len(picture.files))
    await tab.ask(picture.question)
    await tab.ends()
    drawn = ".katex, pre .token, [data-testid=citation]"
    await expect(tab.answer.locator(drawn).first).to_be_visible()
    image = await tab.page.screenshot(animations="disabled", caret="hide")
    await context.close()
    return image


async def draw_login(browser: Browser, app: AppProcess) -> bytes:
    context = await browser.new_context(
        base_url=app.url, viewport=DESKTOP, device_scale_factor=SCALE, color_scheme="light"
    )
    page = await context.new_page()
    await page.goto("/login")
    await expect(page.locator("html")).to_have_class("light")
    await page.get_by_test_id("login-username").fill("alice")
    image = await page.screenshot(animations="disabled", caret="hide")
    await context.close()
    return image


async def main(directory: Path) -> None:
    """Write all pictures into `directory`, which exists."""
    model_wire.MODEL = "qwen3-32b"  # the name that stands below the answers
    with tempfile.TemporaryDirectory() as home, ModelServer() as model:
        app = AppProcess(Path(home), llm_url=model.url, llm_vision="on")
        migrations.upgrade(app.database_url)
        database = Database(app.database_url)
        users = Users(database)
        await users.add("alice", PASSWORDS["alice"], full_name="Алиса Петрова")
        await users.add("bob", PASSWORDS["bob"], full_name="Bob Smith")
        await database.close()
        with Stored(app.database_url) as stored:
            for who, earlier in (("alice", RU_EARLIER), ("bob", EN_EARLIER)):
                for days_ago, title in earlier:
                    stored.add_dialog(who, title, days_ago=days_ago)
        with app:
            async with launched() as browser:
                (directory / "login.png").write_bytes(await draw_login(browser, app))
                for picture in PICTURES:
                    image = await draw(browser, app, model, picture)
                    (directory / f"{picture.name}.png").write_bytes(image)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
