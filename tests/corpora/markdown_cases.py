"""Markdown, and how the page and documents have to understand it.

What is understood has one line for each block, two blanks deeper in a list or quote: the text, with
`# ` before a heading (one sign a level), a marker before the first block of an item, `| ` before a
quote, `code: ` before code, `row: ` and `head: ` before cells, `---` for a rule. `{b:...}` is bold,
`i` is slanted, `s` struck, `c` code or the source of a formula (bold or not), `a` a link with words
of its own; `⏎` is a line break.
"""

from typing import NamedTuple


class Case(NamedTuple):
    text: str
    lines: list[str]


CASES: dict[str, Case] = {
    "headings": Case(
        "# Один\n\n## Два `x`\n\n#### Четыре\n\nтекст",
        ["# Один", "## Два {c:x}", "#### Четыре", "текст"],
    ),
    "emphasis": Case("a *b* **c** ~~d~~ `e` ***f***", ["a {i:b} {b:c} {s:d} {c:e} {bi:f}"]),
    "line breaks": Case(
        "Строка один\nСтрока два\nСтрока три", ["Строка один⏎Строка два⏎Строка три"]
    ),
    "hard breaks": Case("a  \nb\\\nc", ["a⏎b⏎c"]),
    "line breaks in an item": Case("- раз\n  два\n- три", ["  • раз⏎два", "  • три"]),
    "breaks in cells": Case(
        "| Step | What |\n|---|---|\n| 1 | first line<br>second<BR />third |",
        ["head: Step / What", "row: 1 / first line⏎second⏎third"],
    ),
    "breaks in words": Case("a<br>b<br>\nc `<br>` \\<br>", ["a⏎b⏎c {c:<br>} <br>"]),
    "bold before a letter": Case(
        "**Важно:**текст, **(да)**нет и **«кот»**а", ["{b:Важно:}текст, {b:(да)}нет и {b:«кот»}а"]
    ),
    "bold behind a letter": Case("слово**«два»** три", ["слово{b:«два»} три"]),
    "bold around a formula": Case("**Сила \\(F\\):**вектор", ["{b:Сила }{c:\\(F\\)}{b::}вектор"]),
    "powers": Case("2**(n)**x и a ** b ** c", ["2**(n)**x и a ** b ** c"]),
    "formulas": Case(
        r"Inline \(E=mc^2\) and \(\{1,2\}\), rows \\ end, $$c_{i}^{*} d_{j}^{*}$$.",
        [r"Inline {c:\(E=mc^2\)} and {c:\(\{1,2\}\)}, rows \\ end, {c:$$c_{i}^{*} d_{j}^{*}$$}."],
    ),
    "formulas side by side": Case(r"\(a\)\(b\)", [r"{c:\(a\)\(b\)}"]),
    "a formula on its lines": Case(
        "Итак\n\\[\n\\int_0^1 x\\,dx % сумма\n\n- z\n\\]\nвот",
        ["Итак⏎{c:\\[ \\int_0^1 x\\,dx - z \\]}⏎вот"],
    ),
    "a formula of dollars": Case(
        "$$\na\n= b\n$$\n\n- раз\n\n  $$c$$", ["{c:$$ a = b $$}", "  • раз", "  {c:$$c$$}"]
    ),
    "formulas in a table": Case(
        "| a | b |\n|---|---|\n| \\(x_1\\) | \\(\\|y\\|\\) |",
        ["head: a / b", "row: {c:\\(x_1\\)} / {c:\\(|y|\\)}"],
    ),
    "a formula in a quote": Case("> \\[\n> a_1\n> + b\n> \\]", ["  | {c:\\[ a_1 + b \\]}"]),
    "a formula with backticks": Case(r"`x` \(\text{``a''}\)", [r"{c:x} {c:\(\text{``a''}\)}"]),
    "money": Case("от $5 до $10, $$ и $$", ["от $5 до $10, $$ и $$"]),
    "a formula of one dollar": Case("$a_1*b_2$ *c*", ["$a_1*b_2$ {i:c}"]),
    "no formula": Case(r"\( x и \] y \(\def\a{\a\a}\a\)", [r"\( x и \] y \(\def\a{\a\a}\a\)"]),
    "a block of a formula": Case("```math\n\\frac12\n```", ["code: \\frac12"]),
    "code": Case(
        "```py\nx = '**a** \\(b\\)<br>'\n```\n\n    y", ["code: x = '**a** \\(b\\)<br>'", "code: y"]
    ),
    "a diagram": Case("```mermaid\nflowchart LR\n  A --> B\n```", ["code: flowchart LR⏎  A --> B"]),
    "footnotes": Case(
        "Раз[^b], два[^1], снова[^b].\n\n"
        "[^1]: Первая *сноска*.\n[^b]: Вторая\n    на двух строках.",
        [
            "Раз[1], два[2], снова[1].",
            "---",
            "  1. Вторая⏎на двух строках.",
            "  2. Первая {i:сноска}.",
        ],
    ),
    "notes to nothing": Case(
        "Раз[^2].\n\n[^1]: Сама по себе\n\n[7]: https://a.test/",
        ["Раз[^2].", "[^1]: Сама по себе", "[7]: https://a.test/"],
    ),
    "tasks": Case(
        "- [x] сделано\n- [ ] нет\n- [y] другое", ["  ☑ сделано", "  ☐ нет", "  • [y] другое"]
    ),
    "pictures": Case(
        "![График](https://a.test/x.png)\n\nДо ![Схема *сети*][1] после\n\n[1]: https://a.test/y.png",
        ["График", "До Схема сети после"],
    ),
    "lists": Case(
        "3. три\n4. четыре\n   - внутри\n     1. глубже\n\nконец",
        ["  3. три", "  4. четыре", "    • внутри", "      1. глубже", "конец"],
    ),
    "code in an item": Case(
        "1. Шаг\n\n   ```sh\n   ls\n   ```\n\n2. Дальше", ["  1. Шаг", "  code: ls", "  2. Дальше"]
    ),
    "quotes": Case("> цитата\n> вторая\n>\n> третья", ["  | цитата⏎вторая", "  | третья"]),
    "a table": Case(
        "| Что | Где |\n|:--|--:|\n| ядро | `/boot` |\n| **сеть** |",
        ["head: Что / Где", "row: ядро / {c:/boot}", "row: {b:сеть} / "],
    ),
    "links": Case(
        "[a](https://a.test/b_c) <https://b.test> [c][1]\n\n[1]: https://c.test",
        ["{a:a} https://b.test {a:c}"],
    ),
    "about": Case("~5 км~ и ~10~", ["~5 км~ и ~10~"]),
    "markup is text": Case(
        "<b>x</b> <img src=x> &lt;i&gt; & \\*y\\*", ["<b>x</b> <img src=x> <i> & *y*"]
    ),
    "a rule": Case("раз\n\n---\n\nдва", ["раз", "---", "два"]),
}
