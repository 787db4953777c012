"""Texts made to freeze or break what renders Markdown, generated from shapes, sizes and seeds."""

import random
from collections.abc import Callable, Iterator

SIZES = (1500, 9000, 100_000)  # bytes of UTF-8, at most
SEEDS = 60


def _filled(unit: str, end: str = "") -> Callable[[int], str]:
    return lambda size: unit * max((size - len(end)) // len(unit), 1) + end


def _counted(unit: str, between: str = "\n") -> Callable[[int], str]:
    """`{}` in the unit is the number of its copy."""
    return lambda size: between.join(unit.format(n) for n in range(size // (len(unit) + 3)))


def _nested(opening: str, closing: str) -> Callable[[int], str]:
    def nested(size: int) -> str:
        count = size // (len(opening) + len(closing))
        return opening * count + "a" + closing * count

    return nested


def _deepening(line: str) -> Callable[[int], str]:
    """Each line is indented further than the one before."""
    return lambda size: "\n".join("  " * n + line for n in range(int(size**0.5)))


def _table(columns: int, row: str) -> Callable[[int], str]:
    def table(size: int) -> str:
        head = "|" + "a|" * columns + "\n|" + "-|" * columns + "\n"
        return head[:size] + row * max((size - len(head)) // len(row), 0)

    return table


def _ticks(size: int) -> str:
    return " ".join("`" * n + "a" for n in range(1, int(size**0.5)))


SHAPES: dict[str, Callable[[int], str]] = {
    **{f"run of {unit!r}": _filled(unit) for unit in ("> ", ">", "- ", "* ", "1. ", "*", "_", "~")},
    **{f"flood of {unit!r}": _filled(unit) for unit in ("[", "]", "[]", "![", "`", "``a` ", "<")},
    **{
        f"open {unit!r}": _filled(unit, "a") for unit in ("> ", "- ", "1. ", "+ ", "> - ", "[", "(")
    },
    **{f"marks {unit!r}": _filled(unit) for unit in ("*a ", "a* ", "*a **b ", "*_", "a_", "~~a ")},
    **{f"links {unit!r}": _filled(unit) for unit in ("[a](b) ", "[a](", "![a](b) ", "<http://a> ")},
    **{f"bare {unit!r}": _filled(unit) for unit in ("www.a.b ", "a@b.c ", "a@", "a.", "http://a ")},
    **{
        f"html {unit!r}": _filled(unit) for unit in ("<a ", '<a href="', "<!--", "<b>x</b>", "&lt;")
    },
    **{f"lines {unit!r}": _filled(unit) for unit in ("a\n", "a\n=\n", "# a\n", "---\n", "a\n\n")},
    **{f"items {unit!r}": _filled(unit) for unit in ("- a\n", "1. a\n", "> a\n\n", "- [ ] a\n")},
    **{
        f"fences {unit!r}": _filled(unit)
        for unit in ("```\n", "~~~\n", "> ```\n", "- ```\n", "  ```\n")
    },
    **{
        f"odd {unit!r}": _filled(unit)
        for unit in ("\\", "\\*", "\\(", "$$", "$a$ ", "&#65;", "&amp;")
    },
    **{
        f"plain {unit!r}": _filled(unit)
        for unit in ("w", "\u0301", "😀", "\u200d", "א ", "𝕒", "\t")
    },
    **{
        f"breaks {unit!r}": _filled(unit)
        for unit in ("a\r", ">\r", "a  \n", "a\\\n", "\u2028", "\n")
    },
    **{
        f"wide {unit!r}": _filled(unit)
        for unit in ("|", "a|", "-|", "a|b\n", "漢", "👩‍👩‍👧 ", "e\u0301")
    },
    "emphasis in emphasis": _nested("*a ", " a*"),
    "strong in strong": _nested("**a", "a**"),
    "link in link": _nested("[", "](b)"),
    "image in image": _nested("![", "](b)"),
    "quotes, then lazy lines": lambda size: "> " * 30 + "a\n" * (size // 2),
    "quotes of 30": _filled("> " * 30 + "a\n"),
    "lists of 30": _filled("- " * 30 + "a\n"),
    "deeper items": _deepening("- a"),
    "deeper numbers": _deepening(" 1. a"),
    "tabs and items": lambda size: "\n".join("\t" * n + "- a" for n in range(int(size**0.5))),
    "quotes behind a fence": lambda size: "- a\n  ```\n" + ">" * size,
    "quotes behind a fence in an item": lambda size: (
        "- ```\nfoo\n  ```\n```\n" + "> " * (size // 2)
    ),
    "quotes behind a comment": lambda size: "<!--\n```\n-->\n" + ">" * size,
    "quotes behind a mark of order": lambda size: "\ufeff```\n```\n" + ">" * size,
    "definitions": _counted("[a{}]: b"),
    "definitions of one": _filled("[a]: b\n"),
    "references": lambda size: "[a] " * (size // 4) + "\n\n[a]: b",
    "a long address": lambda size: "[a] " * 500 + "\n\n[a]: http://" + "b" * size,
    "notes": lambda size: "[^1] " * (size // 5) + "\n\n[^1]: x",
    "many notes": _counted("[^{0}]\n\n[^{0}]: x\n", "\n"),
    "ticks of every length": _ticks,
    "a table of short rows": lambda size: _table(size // 8, "|\n")(size),
    "a wide table": lambda size: _table(size // 4, "|1|2\n")(size),
    "a long table": _table(2, "|1|2|\n"),
    "a title": lambda size: '[a](b "' + "x " * (size // 2),
    "code": lambda size: "```python\n" + "x = [1, 'a'] # b\n" * (size // 17) + "```",
    "code of one line": lambda size: "```json\n" + '{"a":[1,2]},' * (size // 12) + "\n```",
    "code of nothing": lambda size: "```js\n" + "((((" * (size // 4) + "\n```",
    "many small blocks of code": _filled("```py\na=1\n```\n"),
    "formulas": _filled("\\(a_{1}\\) $$b^{*}$$\n"),
    "a few formulas of many": lambda size: "\\(a\\) " * (size // 40) + "слово " * (size // 20),
    "displays without end": _filled("\\[\n"),
    "displays of dollars": _filled("$$\na\n\n"),
    "a long formula": lambda size: "\\(" + "x+" * (size // 2) + "\\)",
    "a formula in a formula": lambda size: "\\(" + "\\sqrt{" * (size // 6) + "\\)",
    "formulas of a hundred cells": _filled(
        "$$\\begin{matrix}" + "a&" * 100 + "\\end{matrix}$$\n\n"
    ),
    "formulas of many fractions": _filled("$$" + "\\frac{a}{b}" * 40 + "$$\n\n"),
    "formulas of many roots": _filled("$$" + "\\sqrt{" * 30 + "a" + "}" * 30 + "$$\n\n"),
    "formulas of sizes": _filled("$$" + "\\Huge\\color{red}" * 40 + "a$$\n\n"),
    "formulas of fonts": _filled("$$" + "\\mathrm" * 100 + " a$$\n\n"),
    "macros": _filled("$$\\def\\a{\\a\\a}\\a$$\n\n"),
    "a row that is none": lambda size: "$a\n" + "|-" * (size // 2) + "x",
    "diagrams": _filled("```mermaid\nflowchart LR\n  A --> B\n```\n"),
    "a large diagram": lambda size: "```mermaid\nflowchart LR\n" + "a-->b\n" * (size // 6) + "```",
    "blocks of formulas": _filled("```math\n\\frac{a}{b}\n```\n"),
    "notes in notes": _counted("[^{0}]: x[^{0}]\n", "\n"),
    "notes of one": _filled("[^a]: [^a]\n\n"),
    "breaks": _filled("<br>"),
    "breaks in cells": _table(2, "|a<br>b|c|\n"),
    "bold before letters": _filled("**a:**b "),
    "words": _filled("слово "),
}

PIECES = (
    *(
        "> ",
        ">",
        "- ",
        "* ",
        "1. ",
        "+ ",
        "#",
        "\n",
        "\n\n",
        "    ",
        "\t",
        "  ",
        "```",
        "~~~",
        "`",
        "``",
    ),
    *(
        "*",
        "**",
        "_",
        "__",
        "~",
        "[",
        "]",
        "](",
        ")",
        "![",
        "[^1]",
        "[^1]: ",
        "[a]: b\n",
        "|",
        "|-|",
        "a",
    ),
    *(
        "<",
        "<!--",
        "<b>",
        "&amp;",
        "\\",
        "\\(",
        "\\)",
        "$$",
        "<br>",
        "www.a",
        "http://",
        "a@b.c",
        "слово ",
        "😀",
    ),
)


def _of_bytes(text: str, size: int) -> str:
    """Returns the text up to that size in UTF-8."""
    return text.encode()[:size].decode(errors="ignore")


def hostile_texts() -> Iterator[tuple[str, str]]:
    """Yields names and texts, the same at each call: every shape in every size, and mixtures."""
    for name, shape in SHAPES.items():
        for size in SIZES:
            yield f"{name}, {size}", _of_bytes(shape(size), max(SIZES))
    for seed in range(SEEDS):
        chance = random.Random(seed)
        pieces = chance.sample(PIECES, chance.randrange(2, 7))
        size = chance.choice(SIZES)
        runs: list[str] = []
        while sum(map(len, runs)) < size:
            runs += [chance.choice(pieces) * chance.choice((1, 1, 2, 7, 300))]
        yield f"mixture {seed}, {size}", _of_bytes("".join(runs), size)
