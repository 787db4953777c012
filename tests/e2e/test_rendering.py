"""An answer as it is read: formulas, diagrams, tables, code and footnotes, and what is copied."""

import uuid
from collections.abc import Sequence

from playwright.async_api import Locator, Page, expect

from tests.corpora.markdown_cases import CASES
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say

pytestmark = E2E

# what tests/corpora/markdown_cases.py writes, read from the page
_READ = """answer => {
    const lines = [], BLOCKS = 'p, ul, ol, h3, hr, blockquote, section, div';
    const ways = {a: 'a', b: 'strong', c: 'code, [data-source]', i: 'em', s: 'del'};
    const flags = (node, top) => Object.entries(ways).filter(([letter, selector]) => {
        const found = node.parentElement.closest(selector);
        if (!found || !top.contains(found) || found === top) return false;
        return letter !== 'a' || found.textContent !== found.getAttribute('href');
    }).map(([letter]) => letter).join('');
    const words = (nodes, top, head) => {
        const runs = [];
        const add = (text, letters) => {
            const same = runs.length && runs.at(-1)[0] === letters;
            if (same) runs.at(-1)[1] += text; else if (text) runs.push([letters, text]);
        };
        const walk = node => {
            if (node.nodeName === 'BR') add('⏎', flags(node, top));
            else if (node.nodeType === 3) {
                const letters = flags(node, top);
                const plain = head || letters.includes('c');
                const text = node.data.replace(/[\\n\\u2060]/g, '');
                add(text, plain ? letters.replace('b', '') : letters);
            } else if (node.matches('[data-footnote-backref]')) return;
            else if (node.dataset.source) add(node.dataset.source, 'c');
            else if (node.nodeName === 'SUP') add(`[${node.textContent}]`, '');
            else for (const each of node.childNodes) walk(each);
        };
        for (const node of nodes) walk(node);
        return runs.map(([letters, text]) => letters ? `{${letters}:${text}}` : text).join('')
            .replaceAll(' ⏎', '⏎').trim();
    };
    const visit = (top, depth, quoted, marker) => {
        let inline = [];
        const before = () => {
            const text = '  '.repeat(depth) + (quoted ? '| ' : '') + (marker ? marker + ' ' : '');
            marker = '';
            return text;
        };
        const flush = () => {
            const text = words(inline, top);
            if (text) lines.push(before() + text);
            inline = [];
        };
        for (const node of top.childNodes) {
            if (node.nodeName === 'INPUT') marker = node.checked ? '☑' : '☐';
            else if (node.nodeType === 3 || !node.matches(BLOCKS)) inline.push(node);
            else {
                flush();
                const name = node.nodeName;
                if (name === 'P') {
                    const box = node.querySelector(':scope > input');
                    if (box) marker = box.checked ? '☑' : '☐';
                    const text = words([...node.childNodes].filter(each => each !== box), node);
                    lines.push(before() + text);
                }
                else if (name === 'H3') lines.push(before() + '#'.repeat(+node.className[1]) + ' '
                    + words(node.childNodes, node, true));
                else if (name === 'HR') lines.push('---');
                else if (name === 'BLOCKQUOTE') visit(node, depth + 1, true, '');
                else if (name === 'SECTION') {
                    lines.push('---');
                    visit(node.querySelector('ol').parentElement === node
                        ? {childNodes: [node.querySelector('ol')]} : node, depth, false, '');
                } else if (node.matches('.code')) lines.push(before() + 'code: '
                    + node.querySelector('pre').textContent.replaceAll('\\n', '⏎'));
                else if (node.matches('.table')) {
                    for (const row of node.querySelectorAll('tr'))
                        lines.push(before() + (row.closest('thead') ? 'head: ' : 'row: ')
                            + [...row.cells].map(cell => words(cell.childNodes, cell,
                                cell.nodeName === 'TH')).join(' / '));
                } else if (name === 'DIV') lines.push(before() + 'code: '
                    + node.querySelector('[data-source]').dataset.source.slice(2, -2));
                else [...node.children].forEach((item, index) => visit(item, depth + 1, quoted,
                    name === 'OL' ? `${(node.start ?? 1) + index}.` : '•'));
            }
        }
        flush();
    };
    for (const part of answer.querySelectorAll('.markdown')) visit(part, 0, false, '');
    return lines;
}"""


async def test_the_page_reads_as_documents_do(browse: Browse, stored: Stored):
    """Each case of the corpus in an answer of its own (tests/unit/test_markdown_cases.py)."""
    names = list(CASES)
    page = await (await browse("alice")).new_page()
    for part in (names[::2], names[1::2]):
        turns = [(name, CASES[name].text) for name in part]
        dialog_id = stored.add_dialog("alice", "Разметка", turns)
        await page.goto(f"/c/{dialog_id}")
        answers = page.get_by_test_id("message-assistant")
        # until the dialog is there, the page has the one before, which is as long
        await expect(page.get_by_test_id("message-user").last).to_contain_text(part[-1])
        await expect(answers).to_have_count(len(part))
        read = {name: await answers.nth(index).evaluate(_READ) for index, name in enumerate(part)}
        assert read == {name: CASES[name].lines for name in part}
    await expect(page.locator("img")).to_have_count(0)


STORY = """# Площадь

Энергия \\(E=mc^2\\) стоит от $5 до $10.[^1]

\\[
\\int_0^1 x^2\\,dx

= \\frac13
\\]

| Шаг | Что | Формула |
|---|---|---|
| 1 | первая<br>вторая | \\(a_1\\) |
| 2 | =SUM(A1) | -5 |

```mermaid
flowchart LR
  A["Заявка <img src=x onerror=alert(1)>"] --> B{Проверка}
```

```mermaid
flowchart LR
  A --> --> B
```

```python
CODE
```

**Важно:**конец.[^1]

[^1]: Приказ №&nbsp;5.
"""
CODE = "\n".join(f"x_{n} = {n}" for n in range(60)) + "\ny = '" + "длинная строка " * 30 + "'"


async def pasted(page: Page, kind: str) -> str:
    """Returns what the clipboard has of a kind."""
    return await page.evaluate(
        """async kind => {
            const [item] = await navigator.clipboard.read();
            return (await item.getType(kind)).text();
        }""",
        kind,
    )


async def copied(button: Locator) -> None:
    """Clicks a button, and waits for its tick."""
    await button.click()
    await expect(button).to_have_attribute("data-copied", "")


async def saved(page: Page, button: Locator) -> tuple[str, bytes]:
    """Returns name and contents of the file that a button saves."""
    async with page.expect_download() as waiting:
        await button.click()
    download = await waiting.value
    return download.suggested_filename, (await download.path()).read_bytes()


async def test_an_answer_with_everything(browse: Browse, stored: Stored, app: AppProcess):
    """It is seen as it is meant, and can be taken elsewhere."""
    context = await browse("alice", locale="ru")
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    page = await context.new_page()
    text = STORY.replace("CODE", CODE)
    dialog_id = stored.add_dialog("alice", "Всё сразу", [("Первый", text), ("Второй", text)])
    await page.goto(f"/c/{dialog_id}")
    answer = page.get_by_test_id("message-assistant").last
    await expect(answer.get_by_test_id("math").locator(".katex")).to_have_count(3)
    await expect(answer.locator("mfrac")).to_have_count(1)
    await expect(answer.locator("p").first).to_contain_text("от $5 до $10.")
    await expect(answer.locator("strong").filter(has_text="Важно:")).to_have_count(1)

    await _diagrams(page, answer)
    await _notes(page, answer)
    await _tables(page, answer)
    await _code(page, answer)

    await copied(answer.get_by_test_id("copy"))
    assert await pasted(page, "text/plain") == text
    rich = (await pasted(page, "text/html")).replace("<br>\n", "<br>")
    for part in (
        *("<h1>Площадь</h1>", "<table border=", "\\(E=mc^2\\)", "<strong>Важно:</strong>конец"),
        *("первая<br>вторая", "x_59 = 59\ny = 'длинная", "Сноски"),
    ):
        assert part in rich
    for part in ("<button", "class=", "katex", "color", "⁠"):
        assert part not in rich


async def _diagrams(page: Page, answer: Locator) -> None:
    drawn, broken = answer.get_by_test_id("show-diagram").first, answer.locator(".diagram").last
    await expect(drawn).to_have_text("Показать схему")
    await drawn.click()
    picture = answer.get_by_test_id("diagram")
    await expect(picture).to_be_visible()
    assert (await picture.get_attribute("src") or "").startswith("data:image/svg+xml")
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    await expect(page.locator("body > [id^=ddiagram]")).to_have_count(0)
    await drawn.click()
    await expect(picture).to_have_count(0)
    await broken.get_by_test_id("show-diagram").click()
    await expect(broken.get_by_test_id("diagram-problem")).to_contain_text("в её описании ошибка")
    await expect(answer.locator(".code pre").nth(1)).to_contain_text("A --> --> B")


async def _notes(page: Page, answer: Locator) -> None:
    """Each answer has its own, and the address stays."""
    address = page.url
    await expect(answer.get_by_role("heading", name="Сноски")).to_be_visible()
    ids: list[str] = await page.locator(".markdown [id]").evaluate_all("all => all.map(e => e.id)")
    assert len(ids) == len(set(ids)) > 4
    reference = answer.locator("sup a").first
    await reference.click()
    note = answer.locator("section li")
    await expect(note).to_be_focused()
    await note.get_by_role("link", name="Вернуться к тексту").first.click()
    await expect(reference).to_be_focused()
    assert page.url == address
    assert len(page.context.pages) == 1


async def _tables(page: Page, answer: Locator) -> None:
    await copied(answer.get_by_test_id("copy-table"))
    assert await pasted(page, "text/plain") == (
        "Шаг\tЧто\tФормула\n1\tпервая вторая\t\\(a_1\\)\n2\t'=SUM(A1)\t-5"
    )
    assert "<td>первая<br>вторая</td>" in await pasted(page, "text/html")
    name, contents = await saved(page, answer.get_by_test_id("save-table"))
    assert name == "table.csv"
    assert contents.decode() == (
        '\ufeffШаг;Что;Формула\r\n1;"первая\nвторая";\\(a_1\\)\r\n2;\'=SUM(A1);-5\r\n'
    )


async def _code(page: Page, answer: Locator) -> None:
    block = answer.locator(".code").last
    body = block.locator(".code-body")
    await expect(block.get_by_test_id("unfold-code")).to_have_text(
        "Показать все строки: 61", use_inner_text=True
    )
    folded = (await body.bounding_box() or {})["height"]
    await block.get_by_test_id("unfold-code").click()
    await expect(block.get_by_test_id("unfold-code")).to_have_text("Свернуть", use_inner_text=True)
    assert (await body.bounding_box() or {})["height"] > 2 * folded
    wider = "body => body.scrollWidth > body.clientWidth"
    assert await body.evaluate(wider)
    await block.get_by_test_id("wrap-code").click()
    await expect(block.get_by_test_id("wrap-code")).to_have_attribute("aria-pressed", "true")
    assert not await body.evaluate(wider)
    await copied(block.get_by_test_id("copy-code"))
    assert await pasted(page, "text/plain") == CODE
    assert await saved(page, block.get_by_test_id("save-code")) == ("code.py", CODE.encode())


async def test_without_https_the_old_way_copies(browse: Browse, stored: Stored, app: AppProcess):
    """Over plain http a browser has no clipboard for pages but by its copy command."""
    context = await browse("alice")
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    page = await context.new_page()
    await page.add_init_script("Clipboard.prototype.write = undefined")
    dialog_id = stored.add_dialog("alice", "Копия", [("Q", "**раз** два")])
    await page.goto(f"/c/{dialog_id}")
    await copied(page.get_by_test_id("copy"))
    assert await pasted(page, "text/plain") == "**раз** два"
    assert "<strong>раз</strong> два" in await pasted(page, "text/html")


def in_pieces(text: str, size: int) -> Sequence[str]:
    return [text[place : place + size] for place in range(0, len(text), size)]


async def test_formulas_while_they_are_written(tab: Tab, model: ModelServer, watch: object):
    """A formula over a blank line is one, nothing is loaded before it, and a reload shows it."""
    requests: list[str] = []
    tab.page.on("request", lambda request: requests.append(request.url))
    model.script_once(Say(["Просто **слово**"]), End())
    await tab.ask_and_read("Без формул")
    assert not [each for each in requests if "katex" in each.lower()]
    before = "Слова перед формулой. " * 20
    text = f"{before}\n\nИтак\n\n$$\na_1\n\n+ b\n$$\n\nи \\(\\frac12\\) и \\(\\wrong\\) конец"
    model.script_once(Say(in_pieces(text, 3), 0.002), End())
    await tab.ask("Формулы")
    await expect(tab.answer.locator(".katex")).to_have_count(2)
    await tab.ends()
    for _ in range(2):
        await expect(tab.answer.locator(".math-display .katex")).to_have_count(1)
        await expect(tab.answer.locator(".katex")).to_have_count(2)
        await expect(tab.answer.get_by_test_id("math").last).to_have_text(r"\(\wrong\)")
        await tab.reload()


async def test_what_is_selected_in_a_growing_answer_stays_selected(tab: Tab, model: ModelServer):
    """What is there already is not drawn again with each word that comes."""
    holds = [uuid.uuid4().hex for _ in range(2)]
    say = [Say(["Первое **слово**, "]), Hold(holds[0]), Say(["потом *ещё*"]), Hold(holds[1]), End()]
    model.script_once(*say)
    await tab.ask("Слова")
    word = tab.answer.get_by_text("слово", exact=True)
    await word.evaluate("word => getSelection().selectAllChildren(word)")
    model.release(holds[0])
    await expect(tab.answer.get_by_text("ещё", exact=True)).to_be_visible()
    assert await tab.page.evaluate("getSelection().toString()") == "слово"
    model.release(holds[1])
    await tab.ends()


async def test_what_is_too_much_of_a_formula_stays_text(browse: Browse, stored: Stored):
    """The page goes on; how long it stands still is measured by bench/hostile.py."""
    bombs = [
        "```math\n\\def\\a{\\a\\a}\\a\n```",
        r"$$\href{javascript:alert(1)}{x}$$",
        r"\(" + "x+" * 2000 + r"\)",
        *(
            f"$${bomb}$$"
            for bomb in (
                r"\def\a{\a\a}\a",
                r"\sqrt{" * 39 + "x" + "}" * 39,
                r"\frac{a}{b}" * 300,
                r"\begin{matrix}" + "a&" * 1500 + r"\end{matrix}",
                r"\mathrm" * 500 + " x",
                r"\Huge\color{red}" * 200 + "x",
                r"\rule{9999em}{9999em}",
            )
        ),
    ]
    page = await (await browse("alice", locale="en")).new_page()
    dialog_id = stored.add_dialog("alice", "Bombs", [("Q", "\n\n".join(bombs))])
    await page.goto(f"/c/{dialog_id}")
    answer = page.get_by_test_id("message-assistant")
    await expect(answer.locator(".katex").first).to_be_visible()
    await expect(answer.get_by_test_id("math").first).to_have_text(r"$$\def\a{\a\a}\a$$")
    await expect(answer.locator("a")).to_have_count(0)
    await Tab(page).ask_and_read("Дальше")


async def test_a_diagram_may_be_so_large(browse: Browse, stored: Stored):
    """What is too much stays code, and says why."""
    diagram = (
        "```mermaid\nflowchart LR\n"
        + "".join(f"  a{n} --> a{n * 7 % 40}\n" for n in range(140))
        + "```\n\n```mermaid\nflowchart LR\n"
        + "  a --> b\n" * 900
        + "```"
    )
    page = await (await browse("alice", locale="en")).new_page()
    dialog_id = stored.add_dialog("alice", "Diagrams", [("Q", diagram)])
    await page.goto(f"/c/{dialog_id}")
    shows = page.get_by_test_id("show-diagram")
    await shows.last.click()
    await expect(page.get_by_test_id("diagram-problem")).to_contain_text("too large")
    await shows.first.click()
    await expect(page.get_by_test_id("diagram")).to_be_visible()
