"""Scripts that run from right to left: the order in which a line is drawn, and Arabic letters in
the forms that join.

The rules are those of the Unicode bidirectional algorithm for what dialogs hold: whole words of one
direction, numbers among them. Marks of direction in the text are shown as nothing and decide
nothing.
"""

import unicodedata
from functools import cache

from genai_app.services.exports.pdf.fonts import Face, has, private

RIGHT = ("R", "AL")
FORMS = range(0xFE70, 0xFEFD)
LAM = "\u0644"


def is_right(text: str) -> bool:
    """Whether anything in it runs from right to left."""
    return any(unicodedata.bidirectional(each) in RIGHT for each in text)


def drawn_order(text: str, face: Face) -> str:
    """A piece of one line, as it is drawn from left to right."""
    if not is_right(text):
        return text
    pieces: list[tuple[bool, str]] = []
    for right, piece in _pieces(text):
        pieces.append((right, _joined(piece, face) if right else piece))
    return "".join(_reversed(piece) if right else piece for right, piece in pieces)


def _pieces(text: str) -> list[tuple[bool, str]]:
    """Pieces of one direction. Between two words from right to left, blanks go with them."""
    found: list[tuple[bool, str]] = []
    waiting = ""
    for each in text:
        kind = unicodedata.bidirectional(each)
        right = kind in RIGHT
        if not right and kind not in ("L", "EN", "AN"):
            if kind == "NSM" and not waiting and found:
                found[-1] = (found[-1][0], found[-1][1] + each)
            else:
                waiting += each
            continue
        if found and found[-1][0] == right:
            found[-1] = (right, found[-1][1] + waiting + each)
        elif right:
            found += [(False, waiting), (True, each)] if waiting else [(True, each)]
        else:
            found.append((False, waiting + each))
        waiting = ""
    if waiting:
        found.append((False, waiting))
    return found


def _reversed(text: str) -> str:
    """Backwards, a letter before its marks."""
    clusters: list[str] = []
    for each in text:
        if clusters and unicodedata.combining(each):
            clusters[-1] += each
        else:
            clusters.append(MIRRORED.get(each, each))
    return "".join(reversed(clusters))


MIRRORED = dict(zip("()[]{}<>«»", ")(][}{><»«", strict=True))


@cache
def _forms() -> dict[tuple[str, str], str]:
    """Presentation forms by letter (or letters, for a ligature) and place."""
    found: dict[tuple[str, str], str] = {}
    for code in FORMS:
        place, _, letters = unicodedata.decomposition(chr(code)).partition(" ")
        if letters and place.startswith("<"):
            base = "".join(chr(int(each, 16)) for each in letters.split())
            found[base, place.strip("<>")] = chr(code)
    return found


def _joins_on(letter: str) -> bool:
    """Whether it joins the letter after it."""
    return (letter, "initial") in _forms()


def _joined(text: str, face: Face) -> str:
    """Each letter in the form of its place, the four ligatures of lam made."""
    forms = _forms()
    letters: list[str] = []
    for each in text:
        if letters and letters[-1] == LAM and (LAM + each, "isolated") in forms:
            letters[-1] += each
        else:
            letters.append(each)
    told: list[str] = []
    for index, each in enumerate(letters):
        before = letters[index - 1] if index else ""
        after = letters[index + 1] if index + 1 < len(letters) else ""
        from_before = _joins_on(before) and (each, "final") in forms
        to_after = _joins_on(each) and (after, "final") in forms
        place = ("isolated", "initial", "final", "medial")[to_after + 2 * from_before]
        shape = forms.get((each, place))
        if shape is None or not has(face, shape):
            told.append(each)
        else:
            # copied in the order of the drawing, so a ligature reads backwards too
            told.append(private(face, each[::-1], shape))
    return "".join(told)
