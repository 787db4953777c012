"""Finds out the encoding of a text, above all which of the Russian ones.

Libraries that guess are made for many languages and take short Russian texts for Bulgarian,
KOI8-R for CP1251 and UTF-16 without a mark for a binary. Here the candidates are few, and the
letters of the language decide: read in a wrong encoding, `о` and `е` become rare letters.
"""

import codecs
import re

from genai_app.adapters.documents.child.draft import Refusal

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 64 << 10  # bytes
_MOSTLY = 0.4  # of the bytes
# the more usual, the more likely where the letters leave a doubt
_RUSSIAN = {"cp1251": 10.0, "cp866": 3.0, "koi8-r": 0.0, "iso8859-5": -5.0}
# letters of Russian texts in a thousand
_FREQUENCY = dict(
    zip(
        "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
        (
            *(109, 85, 80, 74, 67, 63, 55, 47, 45, 44, 35, 32, 30, 28, 26, 20, 19, 17, 17),
            *(16, 16, 14, 12, 10, 9, 7, 6, 5, 4, 3, 3, 1, 1),
        ),
        strict=True,
    )
)
_SIGNS = frozenset("«»—–№…“”„°")  # that Russian texts have beside letters
# a small letter before a capital one, and Cyrillic within a Latin word
_BROKEN = re.compile("[а-яё][А-ЯЁ]|[A-Za-z][А-яёЁ]|[А-яёЁ][A-Za-z]")
_ODD = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd\u2500-\u259f]")
_BINARY = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_MAX_BINARY = 0.01  # of the characters


def decode(content: bytes, declared: str = "") -> tuple[str, str]:
    """Returns a text and the name of its encoding.

    Args:
        declared: the encoding that the text says it is in; taken where it can be.

    Raises:
        Refusal: unsupported, it is no text.
    """
    for mark, name in _MARKS:
        if content.startswith(mark):
            return content.decode(name, "replace").removeprefix("\ufeff"), name
    if declared:
        try:
            return _text(content.decode(declared)), declared.lower()[:20]
        except (LookupError, UnicodeDecodeError):
            pass
    wide = _wide(content)
    if wide is not None:
        return _text(content.decode(wide, "replace")), wide
    try:
        return _text(content.decode("utf-8")), "utf-8"
    except UnicodeDecodeError as error:
        # cut in the middle of its last character
        if error.start > len(content) - 4 and error.start > 0:
            return _text(content[: error.start].decode("utf-8")), "utf-8"
    name = _one_byte(content)
    return _text(content.decode(name, "replace")), name


def _text(text: str) -> str:
    sample = text[:_SAMPLE]
    if len(_BINARY.findall(sample)) > _MAX_BINARY * len(sample):
        raise Refusal("unsupported", "no text")
    return text


def _wide(content: bytes) -> str | None:
    """Returns which UTF-16 without a mark a text is in; None if it is not."""
    sample = content[: _SAMPLE - _SAMPLE % 2]
    if len(sample) < 8 or len(content) % 2:
        return None
    half = len(sample) // 2
    for name, high, low in (("utf-16-le", 1, 0), ("utf-16-be", 0, 1)):
        # the high bytes of Latin and Cyrillic are 0 and 4, the low ones are anything
        plain = sum(sample[high::2].count(byte) for byte in (0, 4))
        if plain > 0.9 * half and sample[low::2].count(0) < 0.1 * half:
            return name
    return None


def _one_byte(content: bytes) -> str:
    sample = content[:_SAMPLE]
    if not any(byte > 0x7F for byte in sample):  # the first other byte comes late
        sample = bytes(byte for byte in content if byte > 0x7F)[:_SAMPLE]
    scores = {
        name: _score(sample.decode(name, "replace")) + usual for name, usual in _RUSSIAN.items()
    }
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 0 else _other(sample)


def _score(text: str) -> float:
    """Returns how Russian a text looks: above 0 if it may be."""
    beyond = [letter for letter in text if letter > "\x7f"]
    if not beyond:
        return 0.0
    worth = 0.0
    for letter in beyond:
        if letter in _SIGNS:
            worth += 30
        elif letter.isupper():
            worth += _FREQUENCY.get(letter.lower(), -40) * 0.9
        else:
            worth += _FREQUENCY.get(letter, -40)
    worth -= 60 * len(_BROKEN.findall(text)) + 60 * len(_ODD.findall(text))
    return worth / len(beyond) - 20


def _other(sample: bytes) -> str:
    """Returns the encoding of a text that is not Russian: Western, unless most of it is beyond
    Latin letters."""
    if sum(byte > 0x7F for byte in sample) < _MOSTLY * len(sample):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best is not None else "cp1252"
