"""The words of a text as a search knows them: no case, ё as е, Russian and English stems.

PostgreSQL's `russian` configuration stems in the same way; here are the words of SQLite's index,
and those that a page highlights.
"""

import re
import threading
from collections.abc import Iterator

import Stemmer

MAX_QUERY_WORDS = 12
MAX_QUERY_CHARS = 200
_WORD = re.compile(r"[^\W_]+")
_local = threading.local()  # a stemmer is for one thread


def words_of(text: str) -> Iterator[tuple[str, int, int]]:
    """Each word folded and stemmed, with where it begins and ends."""
    for found in _WORD.finditer(text):
        yield _stem(_fold(found.group())), found.start(), found.end()


def stemmed(text: str | None) -> str:
    """All stems, spaces between them."""
    return " ".join(word for word, _, _ in words_of(text or ""))


def query_words(query: str) -> list[str]:
    """The words that somebody looks for, as typed; what is no letter or digit finds nothing."""
    return _WORD.findall(query[:MAX_QUERY_CHARS])[:MAX_QUERY_WORDS]


def postgresql_query(query: str) -> str:
    """For to_tsquery('russian', ...): every word, the last one begun. "" for no word at all."""
    words = [_fold(word) for word in query_words(query)]
    return " & ".join([*words[:-1], f"{words[-1]}:*"]) if words else ""


def sqlite_query(query: str) -> str:
    """For MATCH: every stem, the last one begun. "" for no word at all."""
    stems = [_stem(_fold(word)) for word in query_words(query)]
    quoted = [f'"{stem}"' for stem in stems]
    return " ".join([*quoted[:-1], f"{quoted[-1]}*"]) if quoted else ""


def matches(text: str, query: str) -> list[tuple[int, int]]:
    """Where words of `query` stand in `text`: beginnings and ends, in order."""
    typed = [_fold(word) for word in query_words(query)]
    if not typed:
        return []
    stems, begun = {_stem(word) for word in typed}, _stem(typed[-1])
    return [
        (start, end)
        for stem, start, end in words_of(text)
        if stem in stems or stem.startswith(begun)
    ]


def _fold(word: str) -> str:
    return word.casefold().replace("ё", "е")


def _stem(word: str) -> str:
    stemmers = getattr(_local, "stemmers", None)
    if stemmers is None:
        stemmers = _local.stemmers = (Stemmer.Stemmer("english"), Stemmer.Stemmer("russian"))
    return stemmers[0 if word.isascii() else 1].stemWord(word)
