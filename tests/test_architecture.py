"""The rules of the house, read from the source: who imports whom, and what nobody writes."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "genai_app"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
MAX_LINES = 400
MAX_METHODS = 12  # of a class
MAX_FUNCTION_LINES = 50  # without its docstring

Function = ast.FunctionDef | ast.AsyncFunctionDef

# A layer is a folder, or a module that stands alone. Every module may import these:
ANYBODY = {
    *("clock", "errors", "i18n", "log", "markdown", "metrics", "stemming", "text", "zones"),
    "settings",
}
ALLOWED: dict[str, set[str]] = {
    "pages": {"components", "state", "site_map"},
    "components": {"components", "state", "models", "site_map"},
    "state": {"state", "services", "access", "models", "rights", "site_map"},
    "api": {"api", "services", "web", "access", "models"},
    "web": {"web", "services", "access", "models", "rights", "site_map"},
    "services": {"services", "access", "models", "db", "adapters"},
    "adapters": {"adapters"},
    "access": {"models"},
    "rights": {"models"},
    "site_map": {"models", "rights"},
    "models": {"models"},
    "db": {"db"},
    "server": {"server", "app", "composition", "api", "migrations", "services"},
    "cli": {"cli", "services", "models", "db", "migrations", "server", "adapters"},
    "__main__": {"cli"},
    **{name: set() for name in ("migrations", *ANYBODY) if name != "settings"},
    "settings": {"settings"},
}
# Packages of services from the highest to the lowest: a package imports only what comes later.
SERVICES = (
    *("messengers", "retention", "doctor", "exports", "imports", "statistics", "backup"),
    "review",
    *("chat", "generation", "files", "jobs", "accounts", "reuse", "limits", "audit", "dialogs"),
    "cursors",
    *("derived_keys", "database_clock", "stopping", "background"),
)
FRAMEWORKS = {
    "composition": {"reflex", "reflex_base", "fastapi", "starlette"},
    "services": {"reflex", "reflex_base", "fastapi", "starlette", "httpx", "aiohttp"},
    "adapters": {"reflex", "reflex_base", "fastapi", "starlette", "sqlalchemy", "sqlmodel"},
    "state": {"sqlalchemy", "sqlmodel", "httpx", "fastapi"},
    "api": {"reflex", "reflex_base", "sqlalchemy", "sqlmodel", "httpx"},
    "pages": {"sqlalchemy", "sqlmodel", "httpx", "fastapi"},
    "components": {"sqlalchemy", "sqlmodel", "httpx", "fastapi"},
    "models": {"reflex", "reflex_base", "fastapi"},
    "access": {"reflex", "reflex_base", "fastapi"},
}
BANNED_NAMES = {"utils", "util", "helpers", "helper", "base", "common", "manager", "misc"}
ENVIRONMENT = {"settings/variables.py", "server/serve.py", "server/build.py", "server/dev.py"}


def of_module(check: Callable[[Path], None]) -> Callable[[], None]:
    """Makes one test of a check of a module; it names every module that breaks the rule."""

    def test() -> None:
        broken: list[str] = []
        for path in MODULES:
            try:
                check(path)
            except AssertionError as error:
                broken.append(f"{path.relative_to(PACKAGE)}: {error}")
        assert not broken, "\n".join(broken)

    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Full names of everything that a module imports, within functions too; TYPE_CHECKING as well:
    a type from a forbidden layer is knowledge of it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(node: ast.AST) -> str:
    """`a.b.c` for such an expression; "" for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


@of_module
def test_layers_import_only_what_is_below(path: Path) -> None:
    """docs/architecture.md. Only app.py and composition.py know everything."""
    layer = layer_of(path)
    if layer in ("app", "composition", "__init__"):
        return
    allowed = ALLOWED[layer] | ANYBODY
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("genai_app.")}
    assert ours <= allowed, f"{layer} must not import {ours - allowed}"


def test_services_import_only_packages_below() -> None:
    """The order of SERVICES, in which each package stands once."""
    rank = {name: number for number, name in enumerate(SERVICES)}
    wrong: list[str] = []
    for path in MODULES:
        room, *rest = path.relative_to(PACKAGE).parts[:2]
        if room != "services" or rest == ["__init__.py"]:
            continue
        here = rest[0].removesuffix(".py")
        for name in imports(path):
            if not name.startswith("genai_app.services."):
                continue
            there = name.split(".")[2]
            if there in rank and there != here and rank[there] <= rank[here]:
                wrong.append(f"{here} must not import {name}")
    assert wrong == []
    assert set(rank) == {
        each.name.removesuffix(".py")
        for each in (PACKAGE / "services").iterdir()
        if not each.name.startswith("__")
    }


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports within functions count: they hide a circle, they do not remove it."""
    names = {
        ".".join(("genai_app", *path.relative_to(PACKAGE).with_suffix("").parts)): path
        for path in MODULES
    }
    below: dict[str, set[str]] = {}
    for name, path in names.items():
        targets = {each if each in names else each.rpartition(".")[0] for each in imports(path)}
        below[name] = targets & set(names) - {name}
    while ends := {name for name, targets in below.items() if not targets} | (
        set(below) - {target for targets in below.values() for target in targets}
    ):
        below = {name: each - ends for name, each in below.items() if name not in ends}
    assert sorted(below) == []


@of_module
def test_layers_stay_free_of_foreign_frameworks(path: Path) -> None:
    """Services know no Reflex and no HTTP, states and routes no SQL, adapters no tables."""
    banned = FRAMEWORKS.get(layer_of(path), set())
    assert banned.isdisjoint(name.split(".")[0] for name in imports(path))


@of_module
def test_time_comes_from_the_clock(path: Path) -> None:
    """Tests move time at one place."""
    if path.name == "clock.py":
        return
    calls = {dotted(n.func) for n in ast.walk(tree(path)) if isinstance(n, ast.Call)}
    forbidden = {"now", "utcnow", "today", "fromtimestamp", "utcfromtimestamp"}
    found = {
        name
        for name in calls
        if name.rpartition(".")[2] in forbidden and name.split(".")[0] in ("datetime", "date", "dt")
    }
    assert not found


@of_module
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    """A setting that settings/settings.py does not know is in no document."""
    if str(path.relative_to(PACKAGE)) in ENVIRONMENT:
        return
    names = {dotted(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    assert {"os.environ", "os.getenv", "os.putenv"}.isdisjoint(names)


@of_module
def test_modules_are_small_and_have_speaking_names(path: Path) -> None:
    """Past 400 lines there is a seam; `utils` says nothing."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@of_module
def test_classes_and_functions_are_one_thing(path: Path) -> None:
    """A larger class or function is two: find the seam."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef):
            methods = sum(isinstance(each, Function) for each in node.body)
            assert methods <= MAX_METHODS, node.name
        elif isinstance(node, Function):
            docstring = ast.get_docstring(node, clean=False) or ""
            lines = (node.end_lineno or 0) - node.lineno + 1 - len(docstring.splitlines())
            assert lines <= MAX_FUNCTION_LINES, node.name
    assert BANNED_NAMES.isdisjoint(part.removesuffix(".py") for part in path.parts)


@of_module
def test_modules_say_what_they_are(path: Path) -> None:
    """Each begins with a docstring, but for an empty __init__.py."""
    assert ast.get_docstring(tree(path)) or not path.read_text().strip()


def test_every_package_directory_has_an_init() -> None:
    """reflex #7258: without one all events vanish without a word."""
    folders = {path.parent for top in (PACKAGE, ROOT / "tests") for path in top.rglob("*.py")}
    assert [
        str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()
    ] == []


def _states() -> Iterator[tuple[Path, ast.ClassDef]]:
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                bases = {dotted(base).rpartition(".")[2] for base in node.bases}
                if any(base.endswith("State") for base in bases):
                    yield path, node


def test_every_public_method_of_a_state_is_an_event() -> None:
    """Reflex lets clients call undecorated methods: decorated, or with an underscore."""
    found: list[str] = []
    seen = 0
    for path, state in _states():
        assert layer_of(path) == "state", f"{path}: a State outside state/"
        for method in state.body:
            if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            seen += 1
            marks = {
                dotted(mark.func if isinstance(mark, ast.Call) else mark)
                for mark in method.decorator_list
            }
            if not method.name.startswith("_") and not marks & {"rx.event", "rx.var"}:
                found.append(f"{path.name}: {state.name}.{method.name}")
            assert not method.name.startswith("set_"), f"{state.name}.{method.name}"
    assert found == []
    assert seen > 10


def test_every_handler_says_who_may_call_it() -> None:
    """A handler without `@allowed` below its `@rx.event` would be refused to everybody."""
    silent: list[str] = []
    for path, state in _states():
        for method in state.body:
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                marks = [ast.unparse(mark) for mark in method.decorator_list]
                is_event = any(mark.startswith("rx.event") for mark in marks)
                if is_event and not marks[-1].startswith("allowed("):
                    silent.append(f"{path.name}: {state.name}.{method.name}")
    assert silent == []


def test_privileged_vars_are_not_kept_by_the_browser() -> None:
    """Only these may be written by a client; nothing is decided by them."""
    kept: set[str] = set()
    for _, state in _states():
        for node in state.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call):
                kind = dotted(node.value.func)
                if kind in ("rx.Cookie", "rx.LocalStorage", "rx.SessionStorage"):
                    kept.add(f"{state.name}.{dotted(node.target)}")
    assert kept == {"ChatState.send_id", "ReasoningState.choice", "UiState.locale_cookie"}


@of_module
def test_dangerous_parts_of_reflex_are_not_used(path: Path) -> None:
    """Uploads are an open door, scripts need eval, HTML of a model is
    an attack, `rx.session` goes round access.py."""
    for node in ast.walk(tree(path)):
        name = dotted(node) if isinstance(node, ast.Attribute) else ""
        banned = ("upload", "call_script", "call_function", "script", "html", "session", "asession")
        assert name not in {f"rx.{each}" for each in banned}, name
        # the one script before the page is drawn: a constant, whose hash is in the policy
        assert name != "rx.el.script" or path == PACKAGE / "app.py", name
        assert name not in ("rx.el.iframe", "rx.upload_files"), name
        if name == "rx.markdown":
            assert path == PACKAGE / "components" / "chat" / "markdown.py"
        if isinstance(node, ast.Call) and dotted(node.func) == "rx.markdown":
            options = {each.arg: each.value for each in node.keywords}
            use_raw = options["use_raw"]
            assert isinstance(use_raw, ast.Constant)
            assert use_raw.value is False
            assert "component_map" in options


@of_module
def test_no_client_is_made_at_import(path: Path) -> None:
    """Module-level connections are shared by forks and live longer than their loop."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            name = dotted(node.value.func).rpartition(".")[2]
            assert not re.search(r"Client$|^create_(async_)?engine$|^Database$", name), name


@of_module
def test_no_note_is_left_in_the_source(path: Path) -> None:
    """No forgotten notes: an open question is an issue."""
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text(encoding="utf-8"))
