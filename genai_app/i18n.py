"""Sentences of the product in Russian and English: locales/ru.json and en.json, flat key -> text.

Both files hold the same keys with the same {placeholders} (a test compares them).
"""

import json
from functools import cache
from pathlib import Path

LOCALES = ("ru", "en")
DEFAULT_LOCALE = "ru"
_DIRECTORY = Path(__file__).parent / "locales"


@cache
def catalogue(locale: str) -> dict[str, str]:
    """All sentences of one locale. Raises KeyError for a locale that is not in LOCALES."""
    if locale not in LOCALES:
        raise KeyError(locale)
    return json.loads((_DIRECTORY / f"{locale}.json").read_text(encoding="utf-8"))


def translate(locale: str, key: str, **params: object) -> str:
    """The sentence for `key`, its placeholders filled. An unknown locale means the default."""
    texts = catalogue(locale if locale in LOCALES else DEFAULT_LOCALE)
    return texts[key].format(**params)
