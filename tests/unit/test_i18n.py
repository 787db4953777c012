"""Sentences in both languages. That the files are complete is shown by tests/test_docs.py."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import genai_app
from genai_app import errors
from genai_app.errors import AppError
from genai_app.i18n import DEFAULT_LOCALE, LOCALES, catalogue, translate
from genai_app.models import Action, Outcome, Source, Status
from genai_app.services.audit.chain import Break

PRODUCT = Path(genai_app.__file__).parent


def _subclasses(kind: type[AppError]) -> Iterator[type[AppError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _subclasses(each)


@pytest.mark.parametrize("locale", LOCALES)
def test_every_error_speaks(locale: str) -> None:
    """The base of each error needs no parameters."""
    for kind in _subclasses(AppError):
        assert kind().user_text(locale) == catalogue(locale)[f"error.{kind.default_code}"]
    text = errors.TooLarge(code="prompt_too_long", over_by=12).user_text(locale)
    assert "12" in text
    assert "{" not in text


@pytest.mark.parametrize("locale", LOCALES)
def test_no_sentence_replaces_another(locale: str) -> None:
    """A key that stands twice in the file would show the last of its sentences in both places."""
    text = (PRODUCT / "locales" / f"{locale}.json").read_text(encoding="utf-8")
    keys = [key for key, _ in json.loads(text, object_pairs_hook=list)]
    assert sorted(set(keys)) == sorted(keys)


def test_every_key_in_the_code_is_known() -> None:
    """`t("...")` and `translate(locale, "...")` with a literal key."""
    found: set[str] = set()
    for path in PRODUCT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = {"t": 0, "translate": 1}.get(node.func.id)
                if place is not None and len(node.args) > place:
                    argument = node.args[place]
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        found.add(argument.value)
    assert len(found) > 20
    assert found - set(catalogue("en")) == set()


@pytest.mark.parametrize("locale", LOCALES)
def test_names_that_are_put_together(locale: str) -> None:
    for status in (Status.TRUNCATED, Status.STOPPED, Status.INTERRUPTED, Status.FAILED):
        assert f"status.{status}" in catalogue(locale)
    for source in Source:
        assert f"source.{source}" in catalogue(locale)
    for action in Action:
        assert f"action.{action}" in catalogue(locale)
    for outcome in Outcome:
        assert f"outcome.{outcome}" in catalogue(locale)
    for broken in Break:
        assert f"audit.{broken}" in catalogue(locale)


@pytest.mark.parametrize("locale", ["", "de", "RU", "ru-RU", "../en", "en\0"])
def test_unknown_locale(locale: str) -> None:
    """The default language rather than an error; and never another file."""
    assert translate(locale, "login.submit") == catalogue(DEFAULT_LOCALE)["login.submit"]
    with pytest.raises(KeyError):
        catalogue(locale)


def test_values_are_not_templates() -> None:
    """Braces in a value stay braces."""
    text = translate("en", "start.first_admin", username="{password}", password="{0.__class__}")
    assert "{password}" in text
    assert "{0.__class__}" in text


def test_unknown_key_is_a_bug() -> None:
    with pytest.raises(KeyError):
        translate("en", "no.such.key")


# what Russian sentences keep: names of products, formats and menus, words of SQL
NAMES = frozenset(
    re.findall(
        r"\w+",
        """
        GenAI PostgreSQL Redis OpenAI API LDAP TLS StartTLS DNS IP IPv UTF CSV PDF JSON JSONL
        Telegram Mattermost BotFather Tesseract seccomp Landlock
        XLSX PEM GPU DN DSE Active Directory FreeIPA OpenLDAP Logon Hours Log On To EN Enter
        Shift ACL SETUSER INFO Switch English MB HTTP https ALTER ROLE CREATEDB CREATE DATABASE
        OWNER TO ENCODING REASSIGN OWNED GET POST UUID ISO DEBUG root json ldap ldaps genai
        true false example ChatGPT Open WebUI ZIP Esc
        """,
    )
)
# and what is typed as it stands: settings, commands, addresses, paths, attributes of a directory
TYPED = re.compile(
    r"pg_hba\.conf|ssl_ca_certs|sslmode|sslrootcert|maxclients"
    r"|\{mark\}\w+|\{+\w*\}+|GENAI_\w+|\bgenai(?::\S+| [a-z]+(?: accept)?)|--[\w-]+|\w+://\S+|\S*/\S+|\(&\S+"
    r"|\w+=\S+|\b[a-z]+[A-Z]\w+|CORP\\\w+|\w+@\w+|\b[a-z]+_[a-z]+\b|\w+[-.]\w+(?:[-.]\w+)*|\.env"
    r"|make run|chmod|chown|maxmemory|noeviction|requirepass|chrony"
    r"|500 per 8 hours|\b52e|\bivanov\b"
)


def test_no_english_in_russian() -> None:
    """A Latin word is a name, a format, or something that is typed as it stands; but for the button
    that changes the language."""
    foreign = {
        key: words
        for key, text in catalogue("ru").items()
        if key != "nav.language"
        and (words := set(re.findall("[A-Za-z]{2,}", TYPED.sub(" ", text))) - NAMES)
    }
    assert foreign == {}


def test_no_russian_in_english() -> None:
    """But for the button that changes the language."""
    russian = re.compile("[а-яё]", re.IGNORECASE)
    found = {key for key, text in catalogue("en").items() if russian.search(text)}
    assert found == {"nav.language"}
