"""The place where the continuation of an answer joins its first part.

A server that goes on with an answer sends what comes next, letter for letter (`ExactSeam`). Others
are asked for the rest in words, and may repeat the last words or leave out the blank between two
(`AskedSeam`). Only the beginning of the continuation is held back, until the seam is decided.
"""

import unicodedata

from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.models import Author

AGAIN_CHARS = 40  # so much of the answer's own beginning says that it is written anew
LEAST_AGAIN_CHARS = 8  # a shorter answer may really go on with the same letters
MOST_OVERLAP_CHARS = 300
QUOTED_CHARS = 80  # of the end of the answer, in the words that ask for the rest

_REST = {
    "ru": "Ответ оборвался. Продолжи его точно с места обрыва, без вступления и пояснений. Начни с"
    " этих последних слов, повторив их буквально, и пиши дальше:\n\n{words}",
    "en": "The answer was cut off. Go on exactly where it broke off, without an introduction or"
    " comments. Begin with these last words, repeated literally, and write on:\n\n{words}",
}


class WrittenAnew(Exception):
    """The server does not go on with the answer: it begins to write it again."""


class ExactSeam:
    """Joins a continuation that needs no change.

    Args:
        part: the answer so far.
    """

    def __init__(self, part: str) -> None:
        self._part = part
        self._held = ""
        self._is_decided = len(part) < LEAST_AGAIN_CHARS

    def feed(self, text: str) -> str:
        """Returns the text to append now. Raises WrittenAnew."""
        if self._is_decided:
            return text
        self._held += text
        if self._held.startswith(self._part):  # a short answer was repeated: the rest is new
            return self._decide(self._held[len(self._part) :])
        if self._part.startswith(self._held[:AGAIN_CHARS]):
            if len(self._held) >= AGAIN_CHARS:
                raise WrittenAnew
            return ""
        return self._decide(self._held)

    def end(self) -> str:
        """Returns the text that was held back until the end of the continuation."""
        return "" if self._is_decided else self._decide(self._held)

    def _decide(self, text: str) -> str:
        self._is_decided, self._held = True, ""
        return text


class AskedSeam:
    """Joins the answer to `turns_for_rest`: what it repeats of the part is left out.

    Args:
        part: the answer so far.
    """

    def __init__(self, part: str) -> None:
        self._part = part
        # all that may be repeated, the longest first
        self._ends = [part, *_ends_of_words(part[-MOST_OVERLAP_CHARS:])]
        self._held = ""
        self._is_decided = not part

    def feed(self, text: str) -> str:
        """Returns the text to append now."""
        if self._is_decided:
            return text
        self._held += text
        words = self._held.lstrip()
        if not words or any(end.startswith(words) for end in self._ends):
            return ""  # the repetition may go on
        return self._decide()

    def end(self) -> str:
        """Returns the text that was held back until the end of the continuation."""
        return "" if self._is_decided else self._decide()

    def _decide(self) -> str:
        text, self._held, self._is_decided = self._held, "", True
        words = text.lstrip()
        for end in self._ends:
            if _repeats(words, end):
                return words[len(end) :]
        for end in self._ends:  # with other white space at the end of the part
            if (bare := end.rstrip()) != end and _repeats(words, bare):
                return words[len(bare) :].lstrip()
        return _spaced(self._part, text)


def turns_for_rest(turns: list[ChatTurn]) -> list[ChatTurn]:
    """Returns the conversation with a last turn that asks for the rest of the answer at its end.
    The turn is for this call alone."""
    part = turns[-1].content
    words = part[-QUOTED_CHARS:]
    if len(part) > QUOTED_CHARS and " " in words:
        words = words.partition(" ")[2]
    locale = language_of(part)
    return [*turns, ChatTurn(Author.USER, _REST[locale].format(words=words))]


def language_of(text: str) -> str:
    """Returns "ru" for a text with more Cyrillic letters than Latin ones, else "en": the language
    of what is added for the model, so that it does not change its own."""
    letters = [unicodedata.name(each, "") for each in text[:2000] if each.isalpha()]
    cyrillic = sum(name.startswith("CYRILLIC") for name in letters)
    latin = sum(name.startswith("LATIN") for name in letters)
    return "ru" if cyrillic > latin else "en"


def _ends_of_words(tail: str) -> list[str]:
    """Returns the ends of `tail` that begin with a word, the longest first. A letter in the middle
    of a word is no repetition: it is the next letter."""
    return [
        tail[at:]
        for at, each in enumerate(tail)
        if not each.isspace() and (at == 0 or not tail[at - 1].isalnum())
    ]


def _repeats(text: str, end: str) -> bool:
    """Returns whether `text` begins with a repetition of `end`. One letter that begins another word
    is none."""
    begins_word = len(end) == 1 and end.isalnum() and text[1:2].isalnum()
    return bool(end) and text.startswith(end) and not begins_word


def _spaced(before: str, text: str) -> str:
    """Returns the text that follows `before` with the right white space between: models begin with
    a word, and without a blank."""
    last, first = before[-1:], text[:1]
    if last == "\n":
        return text.lstrip("\n")
    if last.isspace():
        return text.lstrip(" ")
    if first.isalnum() and (last.isalnum() or last in ".,;:!?)]}»”…%"):
        return f" {text}"
    return text
