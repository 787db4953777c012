"""Plain words: what a test can hold of CONTRIBUTING's rules on names, docstrings and comments."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from tests.test_architecture import MODULES, PACKAGE, ROOT, tree

# how a thing came here says nothing of what it is; and pictures for standard terms
BANNED = frozenset(
    {
        *("told", "said", "given", "meant", "ride", "ridden", "carry", "aboard", "hurry"),
        *("knock", "tell", "deed", "place", "found", "known"),
    }
)
# openings of a docstring that names neither what is done nor what is there
VAGUE = frozenset(
    {"It", "One", "What", "Who", "Whose", "Where", "Whether", "So", "As", "To", "Its"}
)
BANNER = re.compile(r"^\s*# -{3,}", re.M)
# names that others rely on: a term of HTTP, columns, and arguments of handlers
EXCEPTIONS = frozenset(
    {
        "pages/not_found.py: not_found",
        "models/accounts.py: known",
        "models/accounts.py: known_at",
        "state/chat/conversation.py: place",
        "state/review/verified.py: place",
    }
)
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(module: ast.Module) -> Iterator[Definition]:
    """Yields the classes and functions of a module."""
    for node in ast.walk(module):
        if isinstance(node, Definition):
            yield node


def names(module: ast.Module) -> Iterator[str]:
    """Every name that a module gives: variables, arguments, functions."""
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def test_a_class_name_is_used_once() -> None:
    rooms: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in definitions(tree(path)):
            if isinstance(node, ast.ClassDef):
                rooms[node.name].append(str(path.relative_to(PACKAGE)))
    doubles = {name for name, modules in rooms.items() if len(modules) > 1}
    assert sorted(doubles) == []


def test_names_say_what_they_hold() -> None:
    vague = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in MODULES
        for name in names(tree(path))
        if BANNED & set(name.strip("_").split("_"))
    }
    assert sorted(vague - EXCEPTIONS) == []


def test_docstrings_begin_with_what_is_done_or_what_is_there() -> None:
    vague = [
        f"{path.relative_to(PACKAGE)}: {getattr(node, 'name', 'the module')}"
        for path in MODULES
        for node in (tree(path), *definitions(tree(path)))
        if (text := ast.get_docstring(node)) and re.split(r"\W", text, maxsplit=1)[0] in VAGUE
    ]
    assert vague == []


def test_there_are_no_banner_comments() -> None:
    sources = [*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    assert [str(path) for path in sources if BANNER.search(path.read_text())] == []
