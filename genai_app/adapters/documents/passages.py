"""Finds the parts of a file that matter to a question, by the words that both have."""

import json
import math
import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec

from genai_app.adapters.documents.index import INDEX, open_index
from genai_app.adapters.documents.tokens import tokens_of
from genai_app.stemming import stems_of

_MAX_QUESTION = 4000  # characters
_MAX_STEMS = 40
_CANDIDATES = 400
_EXACT_WEIGHT = 3.0  # of numbers, codes and names against other words
_PHRASE_WEIGHT = 4.0  # of what stands in quotation marks
_COMMON = 0.6  # of the passages: a word in more of them says nothing
_LEAST = 0.25  # of the best score: what is worse is left out
# words of questions, not of files; as stems
_STOP = frozenset(
    stems_of(
        "и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по "
        "только ее мне было вот от меня еще нет о из ему теперь когда даже ну ли если или "
        "быть был него до вас нибудь уж вам ведь там потом себя ничего ей может они тут где "
        "есть надо ней для мы тебя их чем была сам чтоб без будто чего раз тоже себе под "
        "будет ж тогда кто этот того потому этого какой какая какие каким совсем ним здесь "
        "этом один почти мой тем чтобы нее сейчас были куда зачем всех можно при об это про "
        "сколько скажи найди покажи напиши пожалуйста файл файле документ документе таблица "
        "таблице строка строки какое каков какова the a an of to in is are was were be been "
        "and or not on for with as by at from this that it what which who how when where why "
        "does do did can could would should will i you he she they we my your there their "
        "please tell show find give me file document "
    )
)
_QUOTED = re.compile(r"[«\"“„](.{3,100}?)[»\"”“]")
# numbers, codes, Latin words and names in the middle of a sentence
_EXACT = re.compile(r"\b[\w./№-]*\d[\w./-]*|\b[A-Za-z_][\w.-]{2,}|(?<=[^.!?\s] )[А-ЯЁ][\w-]+")


class Passage(msgspec.Struct, frozen=True):
    """A part of a file. `page`: of a sheet its number. `label`: of a sheet, attachment or lines."""

    number: int
    page: int
    label: str
    heading: str
    text: str
    tokens: int
    score: float


class _Candidate(NamedTuple):
    number: int
    page: int
    label: str
    kind: str
    line: int
    heading: str
    text: str
    score: float


class _Question(NamedTuple):
    weights: dict[str, float]  # of stems
    phrases: tuple[str, ...]


def find_passages(target: Path, question: str, budget_tokens: int) -> list[Passage]:
    """Returns the parts of a file that have the words of a question, in the order of the file. Rows
    of a table are one passage a sheet, below the head of the table.

    Args:
        target: the directory that `read_document` filled.
        budget_tokens: of all passages together.
    """
    with closing(open_index(target / INDEX)) as index:
        asked = _weighed(index, question[:_MAX_QUESTION])
        ranked = _ranked(index, asked)
        chosen = _within_budget(index, ranked, budget_tokens)
        return list(_passages(index, chosen))


def _weighed(index: sqlite3.Connection, question: str) -> _Question:
    """Returns the stems of a question with their weights: rare and exact ones weigh more."""
    exact = {stem for match in _EXACT.finditer(question) for stem in stems_of(match.group())}
    phrases = tuple(match.group(1) for match in _QUOTED.finditer(question))
    exact |= {stem for phrase in phrases for stem in stems_of(phrase)}
    stems = list(dict.fromkeys(stems_of(question)))
    asked = [stem for stem in stems if stem in exact or stem not in _STOP][:_MAX_STEMS]
    total = max(index.execute("SELECT max(number) FROM passages").fetchone()[0] or 0, 1)
    counts = {stem: _count(index, stem) for stem in asked}
    weights = {
        stem: math.log(1 + (total - count + 0.5) / (count + 0.5))
        * (_EXACT_WEIGHT if stem in exact and (len(stem) > 1 or total < 50) else 1.0)
        for stem, count in counts.items()
        if count and (count <= _COMMON * total or total < 20)
    }
    return _Question(weights or dict.fromkeys(filter(counts.get, counts), 1.0), phrases)


def _count(index: sqlite3.Connection, stem: str) -> int:
    query = "SELECT count(*) FROM words WHERE words MATCH ?"
    return index.execute(query, (f'"{stem}"',)).fetchone()[0]


def _ranked(index: sqlite3.Connection, asked: _Question) -> list[_Candidate]:
    """Returns the candidates, the best first: SQLite finds them by frequency of words, then rare
    words and phrases decide."""
    if not asked.weights:
        return []
    # common words find too much where rare ones are there
    strong = sorted(asked.weights, key=lambda stem: -asked.weights[stem])
    numbers: dict[int, None] = {}
    for stems in (strong[:2], strong):
        match = " OR ".join(f'"{stem}"' for stem in stems)
        query = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY bm25(words) LIMIT ?"
        numbers |= dict.fromkeys(row[0] for row in index.execute(query, (match, _CANDIDATES)))
    stems_of_words: dict[str, str] = {}
    rows = _rows_of(index, list(numbers))
    candidates = [_scored(row, asked, stems_of_words) for row in rows]
    candidates.sort(key=lambda each: (-each.score, each.number))
    best = candidates[0].score if candidates else 0.0
    return [each for each in candidates if each.score >= _LEAST * best and each.score > 0]


def _rows_of(index: sqlite3.Connection, numbers: Sequence[int]) -> Iterable[_Candidate]:
    query = (
        "SELECT p.number, p.page, g.label, p.kind, p.line, p.heading, p.text, 0.0 FROM passages p "
        "JOIN pages g ON g.number = p.page WHERE p.number IN (SELECT value FROM json_each(?))"
    )
    return [_Candidate(*row) for row in index.execute(query, (json.dumps(numbers),))]


def _scored(candidate: _Candidate, asked: _Question, stems_of_words: dict[str, str]) -> _Candidate:
    stems = stems_of(candidate.text, stems_of_words)
    own = frozenset(stems)
    heading = frozenset(stems_of(f"{candidate.heading} {candidate.label}", stems_of_words))
    score = 0.0
    for stem, weight in asked.weights.items():
        if stem in own:
            score += weight * (1 + 0.1 * min(stems.count(stem) - 1, 4))
        elif stem in heading:
            score += 0.5 * weight
    folded = candidate.text.casefold()
    score += sum(_PHRASE_WEIGHT for phrase in asked.phrases if phrase.casefold() in folded)
    return candidate._replace(score=score)


def _within_budget(
    index: sqlite3.Connection, ranked: Sequence[_Candidate], budget: int
) -> list[_Candidate]:
    """Returns the best candidates that fit; the head of a table is paid with its first row."""
    chosen: list[_Candidate] = []
    headed: set[int] = set()
    for each in ranked:
        cost = tokens_of(each.text)
        if each.kind != "text" and each.page not in headed:
            cost += tokens_of(_head(index, each.page)) + 8
        if cost > budget:
            continue
        budget -= cost
        chosen.append(each)
        if each.kind != "text":
            headed.add(each.page)
    return sorted(chosen, key=lambda each: each.number)


def _head(index: sqlite3.Connection, page: int) -> str:
    query = "SELECT text FROM passages WHERE page = ? AND kind = 'head'"
    row = index.execute(query, (page,)).fetchone()
    return row[0] if row else ""


def _passages(index: sqlite3.Connection, chosen: Sequence[_Candidate]) -> Iterable[Passage]:
    for (page, is_text), group in groupby(chosen, lambda each: (each.page, each.kind == "text")):
        members = list(group)
        if is_text:
            yield from (_passage(each, each.text) for each in members)
            continue
        rows = "".join(each.text for each in members if each.kind == "row")
        best = max(members, key=lambda each: each.score)
        yield _passage(best._replace(page=page), _head(index, page) + rows)


def _passage(candidate: _Candidate, text: str) -> Passage:
    label = candidate.label
    return Passage(
        number=candidate.number,
        page=candidate.page,
        label=label,
        heading=candidate.heading,
        text=text.strip("\n"),
        tokens=tokens_of(text),
        score=round(candidate.score, 3),
    )
