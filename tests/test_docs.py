"""The documents say what the code does: settings, sentences, commands, links."""

import ast
import re
import string
from pathlib import Path
from urllib.parse import unquote

import pytest

from bundle.target import Target
from genai_app.adapters.directory.check.steps import DirectoryCause, Fact, StepName
from genai_app.adapters.directory.refusals import AD_REASONS, POLICY_REASONS
from genai_app.errors import AppError
from genai_app.i18n import LOCALES, catalogue
from genai_app.models import Action, Outcome
from genai_app.services.accounts.directory_alarms import AlarmCause
from genai_app.services.audit.chain import Break
from genai_app.services.doctor.findings import CheckName, DoctorCause, FactName, Skip
from genai_app.services.messengers.sentences import COMMANDS
from genai_app.services.review.listing import CHOICES
from genai_app.settings.secret_files import PREFIX, SECRET_FIELDS
from genai_app.settings.settings import Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path for top in ("*", "docs/**/*", "deploy/*") for path in ROOT.glob(f"{top}.md")
)
NAMES = {PREFIX + name.upper() for name in Settings.model_fields}
FILES = {f"{PREFIX}{name.upper()}_FILE" for name in SECRET_FIELDS}

# read by other parts than Settings, or said about what is not there
SOURCES = [path for path in (ROOT / "genai_app").rglob("*.py") if "__pycache__" not in path.parts]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_setting_is_in_the_table() -> None:
    """docs/settings.md names each setting of Settings once, and no other."""
    rows = re.findall(rf"^\| `({PREFIX}\w+)`(.*)$", read("docs/settings.md"), re.M)
    named = [name for name, _ in rows]
    assert sorted(named) == sorted(NAMES)
    with_file = {name for name, rest in rows if rest.lstrip().startswith("⚿")}
    assert with_file == {name.removesuffix("_FILE") for name in FILES}


def test_every_setting_is_in_the_example() -> None:
    """.env.example names each setting, commented out, and no other."""
    named = re.findall(rf"^#?\s*({PREFIX}\w+)=", read(".env.example"), re.M)
    assert set(named) == NAMES
    assert len(named) == len(set(named))
    active = [line for line in read(".env.example").splitlines() if re.match(r"[A-Z]", line)]
    assert active == [], "an example that is copied must change nothing"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_plain_defaults_are_told_as_they_are(name: str) -> None:
    """A default that the table names is the one in the code."""
    default = Settings.model_fields[name].default
    row = re.search(rf"^\| `{PREFIX}{name.upper()}`.*$", read("docs/settings.md"), re.M)
    assert row is not None
    cell = row[0].rstrip(" |").rpartition("|")[2]
    if isinstance(default, int | float) and not isinstance(default, bool):
        assert re.search(rf"`{default:g}`|`{default}`", cell), cell
    elif isinstance(default, str | Path) and str(default):
        assert f"`{default}`" in cell, cell


def test_settings_named_anywhere_exist() -> None:
    """No document speaks of a setting that is not there."""
    wrong: list[str] = []
    for path in [*DOCUMENTS, ROOT / "Makefile"]:
        for name in re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", path.read_text()):
            if name not in NAMES | FILES:
                wrong.append(f"{path.name}: {name}")
    assert wrong == []


@pytest.mark.parametrize("locale", [each for each in LOCALES if each != LOCALES[0]])
def test_locales_have_the_same_sentences(locale: str) -> None:
    """Keys and placeholders are equal in every language."""
    first, other = catalogue(LOCALES[0]), catalogue(locale)
    assert set(first) == set(other)
    for key, text in first.items():
        assert placeholders(text) == placeholders(other[key]), key
        assert text.strip()
        assert other[key].strip()


def _kinds(kind: type[AppError] = AppError) -> set[type[AppError]]:
    return {kind}.union(*(_kinds(each) for each in kind.__subclasses__()))


def codes() -> set[str]:
    """Every code that may reach a user: of the tree, of a raise, of a stored end, of a page."""
    found = {kind.default_code for kind in _kinds()}
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"""\bcode=["']([a-z0-9_]+)["']""", text))
        found |= set(re.findall(r"""\berror_code(?:: str)? = ["']([a-z0-9_]+)["']""", text))
    return found


def test_every_error_has_a_sentence() -> None:
    """`error.<code>` is there for each code that the product raises."""
    for locale in LOCALES:
        texts = catalogue(locale)
        assert [code for code in sorted(codes()) if f"error.{code}" not in texts] == []


def test_placeholders_of_errors_are_given() -> None:
    """A sentence with a placeholder fails where the error is raised without its value."""
    given: dict[str, set[str]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                options = {each.arg: each.value for each in node.keywords if each.arg}
                code = options.pop("code", None)
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    before = given.setdefault(code.value, set(options))
                    given[code.value] = before & set(options)
    for code, names in given.items():
        if "retry_after_s" in names:
            names.add("wait")  # AppError.user_text puts it into words
        needed = placeholders(catalogue("en").get(f"error.{code}", ""))
        assert needed <= names, f"error.{code} wants {needed - names}"


def words_of_the_check() -> set[str]:
    """Keys that the check of the directory puts together from its closed sets of words."""
    sets = {"step": StepName, "fact": Fact, "cause": DirectoryCause, "remedy": DirectoryCause}
    return {f"ldap.{kind}.{word}" for kind, words in sets.items() for word in words}


def words_of_the_doctor() -> set[str]:
    """The same of `genai doctor`."""
    sets = {"check": CheckName, "fact": FactName, "skip": Skip}
    sets |= {"cause": DoctorCause, "remedy": DoctorCause}
    return {f"doctor.{kind}.{word}" for kind, words in sets.items() for word in words}


def words_of_review(source: str) -> set[str]:
    """Keys that the review page puts together: of its filters' values, and by names in its code."""
    values = {f"review.{kind}_{each}" for kind, known in CHOICES.items() for each in known}
    named = {f"review.{name}" for name in re.findall(r'"(\w+)"', source)}
    return values | named


def test_every_value_of_a_filter_has_its_words() -> None:
    assert words_of_review("") <= set(catalogue("en"))


def test_every_step_and_cause_has_its_words() -> None:
    """Whatever `genai ldap check` or `genai doctor` finds, it says what is wrong and how to mend
    it."""
    assert words_of_the_check() | words_of_the_doctor() <= set(catalogue("en"))


def words_of_the_audit() -> set[str]:
    """Keys that are put together from what can be done, how it ends, and how a chain breaks."""
    sets = {"action": Action, "outcome": Outcome, "audit": Break}
    told = {key for key in catalogue("en") if key.startswith(("event.", "limit.per_"))}
    return told | {f"{kind}.{word}" for kind, words in sets.items() for word in words}


def words_of_alarms() -> set[str]:
    """Keys put together from the causes of the directory's alarms, and from units of time."""
    units = {f"duration.{unit}" for unit in ("seconds", "minutes", "hours")}
    return units | {f"directory.alarm.{cause}" for cause in AlarmCause}


def test_every_alarm_and_refusal_has_its_words() -> None:
    """Also of an account that the directory refuses once its password was right."""
    refusals = set(AD_REASONS.values()) | set(POLICY_REASONS.values())
    proven = refusals - {"unknown_user", "wrong_password", "locked"}
    wanted = words_of_alarms() | {f"error.account_{reason}" for reason in proven}
    assert wanted <= set(catalogue("en"))


def words_of_the_bot() -> set[str]:
    """Keys put together from commands, and from why somebody is not answered."""
    refusals = {f"bot.{reason}" for reason in ("stranger", "closed", "file", "forwarded")}
    errors = {key for key in catalogue("en") if key.startswith("bot.error_")}
    known = {key for key in errors if f"error.{key.removeprefix('bot.error_')}" in catalogue("en")}
    return refusals | known | {f"bot.command_{name}" for name in COMMANDS}


def test_every_sentence_is_used() -> None:
    """A key that nobody asks for is a leftover."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    used, of_review = codes(), words_of_review(source)
    unused = [
        key
        for key in catalogue("en")
        if f'"{key}"' not in source
        and not (key.startswith("error.") and key.removeprefix("error.") in used)
        and key not in words_of_the_check() | words_of_the_audit() | words_of_the_doctor()
        and key not in of_review | words_of_alarms() | words_of_the_bot()
        and not key.startswith(("period.", "error.", "error_api.", "error_command.", "invalid."))
    ]
    assert unused == []


def test_make_targets_of_the_readme_exist() -> None:
    """Whoever follows the README meets no unknown verb; `make help` shows them all."""
    makefile = read("Makefile")
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.M))
    for path in DOCUMENTS:
        named = set(re.findall(r"`make ([a-z][a-z0-9-]*)", path.read_text(encoding="utf-8")))
        named |= set(re.findall(r"^\s*make ([a-z][a-z0-9-]*)", path.read_text(), re.M))
        assert named <= targets, path.name
    assert {"run", "test", "check", "lint", "e2e", "bench", "dev", "help"} <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_internal_links_resolve(path: Path) -> None:
    """Each link to a file of ours, and to a heading in it, leads somewhere."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    for link in re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / unquote(name)).resolve() if name else path
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            headings = re.findall(r"^#+\s+(.*)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in {_anchor(heading) for heading in headings}, link


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_named_in_documents_exist(path: Path) -> None:
    """`genai_app/x.py` in a document is a file."""
    text = path.read_text(encoding="utf-8")
    pattern = r"`((?:genai_app|tests|docs|deploy|alembic|bench|assets)/[\w./-]+\.\w+)`"
    missing = [name for name in re.findall(pattern, text) if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("name", ["docs/install-red-os.md", "docs/ru/install-red-os.md"])
def test_the_guide_for_red_os_can_be_walked(name: str) -> None:
    """What a command needs stands before it, and what is fetched runs with that C library."""
    text = read(name)
    platforms = re.findall(r"--platform (\S+)", text)
    assert platforms
    assert set(platforms) <= set(Target("3.11", "manylinux_2_28_x86_64").tags())
    steps = ("systemctl enable --now firewalld", "firewall-cmd --permanent")
    assert text.index(steps[0]) < text.index(steps[1])
    assert text.index("worker_connections 8192") < text.index("systemctl restart nginx")
    assert "LimitNOFILE=16384" in text
    for line in text.splitlines():
        assert "/readyz" not in line or line.lstrip().startswith(("until", "timeout")), line
    for word in ("glibc 2.28", "systemd 239", "PostgreSQL 13", "Redis 6.2", "nginx 1.18"):
        assert word in text
    for word in ("SystemMaxUse", "/etc/logrotate.d/nginx"):
        assert word in text
