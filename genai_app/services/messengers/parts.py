"""Long answers in several messages: cut between blocks where possible, with open code closed at the
end of a message and opened again in the next."""

import re
from collections.abc import Callable
from dataclasses import dataclass

SIZES = (3500, 2600, 1900, 1300, 900, 600, 400, 250)  # tried in turn, in characters of the source
_BOUNDARIES = (re.compile(r"\n[ \t]*\n"), re.compile(r"\n"), re.compile(r"[ \t]+"))
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})([^\n`]*)$", re.M)


@dataclass(frozen=True, slots=True)
class PartOfText:
    """Markdown of one message. `end`: where it ends in the whole text; `opening`: the line that
    opens the code which the next part goes on with, "" for none."""

    markdown: str
    end: int
    opening: str = ""


def next_part(
    text: str, start: int, opening: str, fits: Callable[[str], bool], *, room: int = 0
) -> PartOfText:
    """Returns the part of `text` that begins at `start`: all the rest if it fits.

    Args:
        opening: of the part before.
        fits: whether a message may be that long.
        room: characters that something else takes in the last message.
    """
    for size in SIZES:
        rest = text[start : start + size]
        if start + size >= len(text) and len(rest) + room <= size:
            whole = closed(opening + rest)
            if fits(whole + "x" * room):
                return PartOfText(whole, len(text))
        end = start + _boundary(rest)
        source = opening + text[start:end]
        if fits(closed(source)):
            return PartOfText(closed(source.rstrip()), end, _open_fence(source))
    end = start + SIZES[-1] // 2  # hostile: every character is escaped to many
    source = opening + text[start:end]
    return PartOfText(closed(source), end, _open_fence(source))


def _boundary(window: str) -> int:
    """Returns the best place for a cut in the second half of a window, or its end."""
    for pattern in _BOUNDARIES:
        ends = [match.end() for match in pattern.finditer(window, len(window) // 2)]
        if ends:
            return ends[-1]
    end = len(window)
    while end > 1 and window[end - 1] in "\u200d\ufe0f":  # not within an emoji of several
        end -= 1
    return end


def _open_fence(markdown: str) -> str:
    """Returns the line that opens the code which is still open at the end, "" for none."""
    opened: re.Match[str] | None = None
    for match in _FENCE.finditer(markdown):
        if opened is None:
            opened = match
        elif match[1].startswith(opened[1]) and not match[2].strip():
            opened = None
    return f"{opened[1]}{opened[2].rstrip()}\n" if opened is not None else ""


def closed(markdown: str) -> str:
    """Returns the text with open code closed."""
    opening = _open_fence(markdown)
    if not opening:
        return markdown
    fence = re.match(r"[`~]+", opening)
    assert fence is not None
    return f"{markdown.rstrip()}\n{fence[0]}"
