"""Words for the search: Russian and English stems in lower case, with `ё` as `е`.

PostgreSQL's `russian` configuration makes the same stems. This module makes those of SQLite's
index, and finds the words that a page highlights.
"""

import re
import threading
from collections.abc import Iterator

import Stemmer

MAX_QUERY_WORDS = 12
MAX_QUERY_CHARS = 200
_WORD = re.compile(r"[^\W_]+")
_ENGLISH_KEYS = "`qwertyuiop[]asdfghjkl;'zxcvbnm,.~{}:\"<>"
_RUSSIAN_KEYS = "ёйцукенгшщзхъфывапролджэячсмитьбюёхъжэбю"
_TO_RUSSIAN = str.maketrans(_ENGLISH_KEYS, _RUSSIAN_KEYS)
_RUSSIAN_LETTERS = frozenset(_RUSSIAN_KEYS)
# of two keys with one letter the first: the one without Shift
_TO_ENGLISH = {ord(r): e for e, r in reversed(list(zip(_ENGLISH_KEYS, _RUSSIAN_KEYS, strict=True)))}
_local = threading.local()  # a stemmer works in one thread only


def words_of(text: str) -> Iterator[tuple[str, int, int]]:
    """Yields (stem, start, end) of each word."""
    for match in _WORD.finditer(text):
        yield _stem(_fold(match.group())), match.start(), match.end()


def stemmed(text: str | None) -> str:
    """Returns all stems of a text, joined with spaces."""
    return " ".join(word for word, _, _ in words_of(text or ""))


def stems_of(text: str, stems: dict[str, str] | None = None) -> list[str]:
    """Returns the stems of all words of a long text, each word stemmed once.

    Args:
        stems: of words that were stemmed before; it grows.
    """
    stems = {} if stems is None else stems
    words = _WORD.findall(_fold(text))
    for word in set(words).difference(stems):
        stems[word] = _stem(word)
    return [stems[word] for word in words]


def query_words(query: str) -> list[str]:
    """Returns the words of a search as typed. Only letters and digits count."""
    return _WORD.findall(query[:MAX_QUERY_CHARS])[:MAX_QUERY_WORDS]


def postgresql_query(query: str) -> str:
    """Returns the query for to_tsquery('russian', ...): all words, the last one as a prefix. Empty
    without any word."""
    words = [_fold(word) for word in query_words(query)]
    return " & ".join([*words[:-1], f"{words[-1]}:*"]) if words else ""


def sqlite_query(query: str) -> str:
    """Returns the query for SQLite's MATCH: all stems, the last one as a prefix. Empty without any
    word."""
    stems = [_stem(_fold(word)) for word in query_words(query)]
    quoted = [f'"{stem}"' for stem in stems]
    return " ".join([*quoted[:-1], f"{quoted[-1]}*"]) if quoted else ""


def other_layout(query: str) -> str:
    """Returns what the same keys type on the other keyboard, Russian or English: `ghbdtn` is
    `привет`. Empty where that has no word."""
    folded = query[:MAX_QUERY_CHARS].casefold()
    table = _TO_ENGLISH if any(letter in _RUSSIAN_LETTERS for letter in folded) else _TO_RUSSIAN
    typed = folded.translate(table)
    return typed if query_words(typed) else ""


def matches(text: str, query: str) -> list[tuple[int, int]]:
    """Returns (start, end) of each word of `query` in `text`, in order."""
    words = [_fold(word) for word in query_words(query)]
    if not words:
        return []
    stems, prefix = {_stem(word) for word in words}, _stem(words[-1])
    return [
        (start, end)
        for stem, start, end in words_of(text)
        if stem in stems or stem.startswith(prefix)
    ]


def _fold(word: str) -> str:
    return word.casefold().replace("ё", "е")


def _stem(word: str) -> str:
    stemmers = getattr(_local, "stemmers", None)
    if stemmers is None:
        stemmers = _local.stemmers = (Stemmer.Stemmer("english"), Stemmer.Stemmer("russian"))
    return stemmers[0 if word.isascii() else 1].stemWord(word)
