"""Scripts that run from right to left: the visual order of a line, and the joined forms of Arabic
letters.

The rules are those of the Unicode bidirectional algorithm, as far as dialogs need them: whole words
of one direction, with numbers among them. Direction marks are not shown and have no effect.
"""

import unicodedata
from functools import cache

from genai_app.services.exports.pdf.fonts import Face, has, private_code

RIGHT = ("R", "AL")
FORMS = range(0xFE70, 0xFEFD)
LAM = "\u0644"
MIRRORED = dict(zip("()[]{}<>«»", ")(][}{><»«", strict=True))


def has_right_to_left(text: str) -> bool:
    """Returns whether the text has a letter of a script from right to left."""
    return any(unicodedata.bidirectional(each) in RIGHT for each in text)


def visual_order(text: str, face: Face) -> str:
    """Returns a part of one line as it is drawn from left to right."""
    if not has_right_to_left(text):
        return text
    parts: list[tuple[bool, str]] = []
    for right, part in _directions(text):
        parts.append((right, _joined(part, face) if right else part))
    return "".join(_reversed(part) if right else part for right, part in parts)


def _directions(text: str) -> list[tuple[bool, str]]:
    """Splits a text by direction, True for right to left. Blanks and signs between two words from
    right to left belong to them."""
    parts: list[tuple[bool, str]] = []
    neutral = ""
    for each in text:
        kind = unicodedata.bidirectional(each)
        right = kind in RIGHT
        if not right and kind not in ("L", "EN", "AN"):
            if kind == "NSM" and not neutral and parts:
                parts[-1] = (parts[-1][0], parts[-1][1] + each)
            else:
                neutral += each
            continue
        if parts and parts[-1][0] == right:
            parts[-1] = (right, parts[-1][1] + neutral + each)
        elif right:
            parts += [(False, neutral), (True, each)] if neutral else [(True, each)]
        else:
            parts.append((False, neutral + each))
        neutral = ""
    if neutral:
        parts.append((False, neutral))
    return parts


def _reversed(text: str) -> str:
    """Returns the text backwards; marks stay behind their letter, brackets are mirrored."""
    clusters: list[str] = []
    for each in text:
        if clusters and unicodedata.combining(each):
            clusters[-1] += each
        else:
            clusters.append(MIRRORED.get(each, each))
    return "".join(reversed(clusters))


@cache
def _forms() -> dict[tuple[str, str], str]:
    """Returns the presentation forms by letter (for a ligature: letters) and position in the word:
    isolated, initial, medial, final."""
    forms: dict[tuple[str, str], str] = {}
    for code in FORMS:
        position, _, codes = unicodedata.decomposition(chr(code)).partition(" ")
        if codes and position.startswith("<"):
            letters = "".join(chr(int(each, 16)) for each in codes.split())
            forms[letters, position.strip("<>")] = chr(code)
    return forms


def _joins_next(letter: str) -> bool:
    """Returns whether the letter joins the one after it."""
    return (letter, "initial") in _forms()


def _joined(text: str, face: Face) -> str:
    """Returns the letters in the form of their position, and the four ligatures of lam."""
    forms = _forms()
    letters: list[str] = []
    for each in text:
        if letters and letters[-1] == LAM and (LAM + each, "isolated") in forms:
            letters[-1] += each
        else:
            letters.append(each)
    shaped: list[str] = []
    for index, each in enumerate(letters):
        before = letters[index - 1] if index else ""
        after = letters[index + 1] if index + 1 < len(letters) else ""
        from_before = _joins_next(before) and (each, "final") in forms
        to_after = _joins_next(each) and (after, "final") in forms
        position = ("isolated", "initial", "final", "medial")[to_after + 2 * from_before]
        shape = forms.get((each, position))
        if shape is None or not has(face, shape):
            shaped.append(each)
        else:
            # copied text comes in the order of the drawing, so the ligature's text is reversed too
            shaped.append(private_code(face, each[::-1], shape))
    return "".join(shaped)
