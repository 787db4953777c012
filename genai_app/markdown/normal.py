r"""Markdown of models, made such that every reader of ours takes it the same way.

The page, documents and tests read what `normalised` returns, by two parsers. It turns formulas into
code spans, `<br>` into a line break, closes `**Важно:**текст` where CommonMark would not, and keeps
footnotes and addresses that no text points to. Code stays as it is.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from math import inf

from genai_app.markdown.formulas import Allowance, Inline, inlines_of
from genai_app.markdown.paragraphs import paragraphs

JOINER = "\u2060"  # is no punctuation, has no width, and allows no line break

_ANY = re.compile(r"[\\$]|<br|\*\*|\]:", re.IGNORECASE)
_TICKS = re.compile(r"`+")
_BREAK = re.compile(r"<br[ \t]{0,3}/?>([ \t]{0,3}\n)?", re.IGNORECASE)
_STRONG = re.compile(r"\*+")
# a label in brackets, and whether it begins a line and defines something
_LABEL = re.compile(
    r"(?P<line>^(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*)?"
    r"\[(?P<name>[^\]\[\n]{1,200})\](?P<colon>:)?",
    re.M,
)


def normalised(
    text: str, allowance: Allowance | None = None, referred: frozenset[str] | None = None
) -> str:
    r"""Returns Markdown that means the same to all readers. Lines must end in `\n`.

    Args:
        allowance: what formulas may cost; those past it are shown as they were typed.
        referred: `labels_referred` of the whole of which the text is a part.
    """
    if not _ANY.search(text):
        return text
    allowance = allowance or Allowance(inf)
    ticks = _free_ticks(text)
    if referred is None:
        referred = labels_referred(text)
    done: list[str] = []
    for paragraph in paragraphs(text):
        if paragraph.is_code or not _ANY.search(paragraph.text):
            done.append(paragraph.text)
            continue
        words = _kept_notes(paragraph.text, referred)
        pieces = [
            piece if piece.fixed else Inline(_BREAK.sub(_line_break, piece.text), fixed=False)
            for piece in inlines_of(words, ticks, allowance)
        ]
        done.append("".join(_joined_strong(_apart(pieces))))
    return "\n".join(done)


def _free_ticks(text: str) -> int:
    """Returns the least number of backticks that stand together nowhere in the text."""
    used = {len(run) for run in _TICKS.findall(text)}
    return next(count for count in range(1, len(used) + 2) if count not in used)


def _line_break(tag: re.Match[str]) -> str:
    return "\\\n" if tag[1] else "&#10;"


def labels_referred(text: str) -> frozenset[str]:
    """Returns the labels of footnotes and addresses that some text points to."""
    if "]:" not in text:
        return frozenset()
    return frozenset(
        label["name"].casefold()
        for label in _LABEL.finditer(text)
        if label["line"] is None or not label["colon"]
    )


def _kept_notes(text: str, referred: frozenset[str]) -> str:
    """Returns the paragraph. A footnote or an address that no text points to, which readers leave
    out, is text in it."""
    if "]:" not in text:
        return text

    def kept(label: re.Match[str]) -> str:
        defines = label["line"] is not None and label["colon"]
        if not defines or label["name"].casefold() in referred:
            return label[0]
        return f"{label[0][:-1]}{JOINER}:"

    return _LABEL.sub(kept, text)


def _apart(pieces: Iterable[Inline]) -> Iterator[Inline]:
    """Yields the pieces with something between two backticks of which one begins a code span."""
    before = ""
    for piece in pieces:
        if before == "`" and piece.text.startswith("`"):
            yield Inline(JOINER, fixed=True)
        before = piece.text[-1:] or before
        yield piece


def _joined_strong(pieces: Iterable[Inline]) -> Iterator[str]:
    """Yields a paragraph in which `**` closes before a letter, or opens after one, though
    punctuation stands on its inner side. One of the two must be so without help: `2**(n)**x` are
    powers."""
    text: list[str] = []
    marks: list[tuple[int, int]] = []  # where two stars stand in the paragraph
    length = 0
    for piece in pieces:
        if not piece.fixed:
            spans = (mark.span() for mark in _STRONG.finditer(piece.text))
            marks += [(length + begin, length + end) for begin, end in spans if end - begin == 2]
        text.append(piece.text)
        length += len(piece.text)
    whole = "".join(text)
    places: list[int] = []  # where a joiner goes
    opening: tuple[int, int] | None = None
    for begin, end in marks:
        before, after = whole[begin - 1 : begin] or " ", whole[end : end + 1] or " "
        if opening is None or before.isspace():
            opening = None if after.isspace() else (begin, end)
        else:
            opens, closes = _flanks(whole, opening)[0], _flanks(whole, (begin, end))[1]
            if opens and not closes:
                places.append(begin)
            elif closes and not opens:
                places.append(opening[1])
            opening = None
    done = 0
    for until in places:
        yield whole[done:until]
        yield JOINER
        done = until
    yield whole[done:]


def _flanks(text: str, mark: tuple[int, int]) -> tuple[bool, bool]:
    """Returns whether stars may open and may close, by CommonMark's rule."""
    begin, end = mark
    before, after = text[begin - 1 : begin] or " ", text[end : end + 1] or " "
    opens = not after.isspace() and (not _is_sign(after) or before.isspace() or _is_sign(before))
    closes = not before.isspace() and (not _is_sign(before) or after.isspace() or _is_sign(after))
    return opens, closes


def _is_sign(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"
