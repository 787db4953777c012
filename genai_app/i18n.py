"""Sentences of the product in Russian and English: locales/ru.json and en.json, flat key -> text.

Both files have the same keys with the same {placeholders} (a test compares them).
"""

import json
from functools import cache
from math import ceil
from pathlib import Path

LOCALES = ("ru", "en")
DEFAULT_LOCALE = "ru"
_DIRECTORY = Path(__file__).parent / "locales"


@cache
def catalogue(locale: str) -> dict[str, str]:
    """Returns all sentences of a locale. Raises KeyError for a locale that is not in LOCALES."""
    if locale not in LOCALES:
        raise KeyError(locale)
    return json.loads((_DIRECTORY / f"{locale}.json").read_text(encoding="utf-8"))


def translate(locale: str, key: str, **params: object) -> str:
    """Returns the sentence for `key` with its placeholders filled, for an unknown locale in the
    default one."""
    texts = catalogue(locale if locale in LOCALES else DEFAULT_LOCALE)
    return texts[key].format(**params)


def plural(locale: str, count: int, key: str) -> str:
    """Returns the plural form of the sentence `key` that fits `count`."""
    return plural_of(locale, count, catalogue(locale)[key])


def plural_of(locale: str, count: int, forms: str) -> str:
    """Returns one of `вопрос|вопроса|вопросов`, or of `question|questions`, for `count`."""
    each = forms.split("|")
    if locale != "ru":
        return each[0] if count == 1 else each[-1]
    if count % 10 == 1 and count % 100 != 11:
        return each[0]
    few = count % 10 in (2, 3, 4) and count % 100 not in (12, 13, 14)
    return each[1] if few else each[-1]


def duration_text(locale: str, seconds: float) -> str:
    """Returns a duration in seconds, minutes or hours, rounded up: `40 s`, `4 min`, `2 h`."""
    for unit, size in (("seconds", 1), ("minutes", 60), ("hours", 3600)):
        count = ceil(seconds / size)
        if count < 120 or unit == "hours":
            break
    return translate(locale, f"duration.{unit}", count=count)
