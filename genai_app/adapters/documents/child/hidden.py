"""Finds what a reader does not see but a model does, and sentences that speak to the model."""

import re

from genai_app.adapters.documents.child.draft import Draft

PALE = 0xF4  # of each colour, at least
TINY_POINTS = 1.5
_MAX_LOOKS = 2000
_ANCHORS = (
    *("ignore", "disregard", "forget", "override", "system prompt", "you are now"),
    *("игнориру", "игнорировать", "проигнорируй", "забудь", "не обращай", "системный промпт"),
    *("не следуй", "отмени", "теперь ты ", "ты теперь", "новые инструкции", "new instructions"),
)
# orders, not reports: "ignoring the rules of safety" is in many documents
_ORDERS = re.compile(
    r"(?:ignore|disregard|forget|override)\s+(?:\w+\s+){0,3}?"
    r"(?:all|any|previous|prior|above|earlier|preceding|your|system|everything)\s+(?:\w+\s+){0,3}?"
    r"(?:instructions?|prompts?|rules|directions|guidelines|commands|above|before)\b"
    r"|(?:system prompt|new instructions)\s*[:=]"
    r"|you are now (?:\w+ ){0,3}?(?:bot|assistant|model|ai|agent|dan)\b"
    r"|(?:(?:про)?игнорируй(?:те)?|(?:про)?игнорировать|забудь(?:те)?|не следуй(?:те)?"
    r"|отмени(?:те)?|не обращай(?:те)?\s+внимани\w+\s+на)"
    r"[\s,]+(?:\w+[\s,]+){0,5}?(?:инструкци|указани|правил|промпт|команд|сообщени|что тебе)\w*"
    r"|системный промпт\s*[:=]"
    r"|(?:теперь ты|ты теперь)\s+(?:\w+\s+){0,2}?(?:ассистент|помощник|модел|бот|dan)"
    r"|новые инструкции\s*:",
    re.I,
)
# letters of Unicode that are drawn as nothing: whole sentences can be written in tags
_TAGS = re.compile("[\U000e0020-\U000e007e]{4,}")


def is_pale(color: str) -> bool:
    """Returns whether a colour such as `FFFFFF` is white or nearly white."""
    digits = color.lstrip("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        return digits.lower() == "white"
    return all(int(digits[n : n + 2], 16) >= PALE for n in (0, 2, 4))


def is_tiny(size: str, *, per_point: int = 1) -> bool:
    """Returns whether letters of a size cannot be read."""
    try:
        return 0 <= float(size) / per_point <= TINY_POINTS
    except ValueError:
        return False


def warn_of_orders(draft: Draft) -> None:
    """Warns of sentences that tell the model what to do, on any page."""
    looks = 0
    for number, page in enumerate(draft.pages, 1):
        texts = [page.text] if page.text else []
        texts += ["\n".join(" ".join(row) for row in page.rows)] if page.rows else []
        for text in texts:
            if tags := _TAGS.search(text):
                plain = "".join(chr(ord(letter) - 0xE0000) for letter in tags.group())
                draft.warn("hidden_text", number, plain)
            for start in _anchored(text.lower()):
                looks += 1
                if looks > _MAX_LOOKS:
                    return
                if match := _ORDERS.match(text, start):
                    draft.warn("instructions", number, text[start : match.end() + 80])


def _anchored(text: str) -> list[int]:
    starts: list[int] = []
    for anchor in _ANCHORS:
        start = text.find(anchor)
        while start >= 0 and len(starts) < _MAX_LOOKS:
            starts.append(start)
            start = text.find(anchor, start + len(anchor))
    return sorted(starts)
