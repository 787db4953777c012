"""What the scripted model server does for one request: a list of steps, or a directive in words.

Directive: `fake:key=value,key=value` anywhere in the last user message, up to the next white space.

    tokens=N        say N tokens "w0 ", "w1 ", ... (default 8), so that a loss or a double shows
    mark=WORD       say "WORD0 ", "WORD1 ", ... instead
    delay=S         seconds before each token but the first
    first=S         seconds before the first token
    think=N         before the text, N tokens of reasoning: "t0 ", "t1 ", ...
    text=NAME       say instead: `echo` (the user's message), or each sample of the corpus file
                    tests/corpora/NAME.txt as a token; `corpus` stands for unicode
    cut=N           reset the connection after N tokens
    close=N         close it without an end
    error=N         an error event, then the end
    stall=N         silence, the connection stays open
    hang=1          no answer at all, not even a status
    status=CODE     that HTTP status with an error body; retry_after=S adds the header
    reason=WORD     the finish reason (default stop)
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests import corpora

ANSWER = ("Hello", ", ", "this", " is", " the", " scripted", " model", ".")


@dataclass(frozen=True)
class Say:
    """Content tokens, a chunk each, `delay_s` before every one but the first.

    `together`: all in one write, so that one network read brings them.
    """

    tokens: Sequence[str] = ANSWER
    delay_s: float = 0.0
    together: bool = False


@dataclass(frozen=True)
class Think(Say):
    """Tokens of reasoning, a chunk each, as a server with a reasoning parser sends them.

    `name`: of the field; vLLM 0.32 calls it `reasoning`, others `reasoning_content`.
    """

    name: str = "reasoning"


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Hold:
    """Go on only when the test calls `server.release(name)`."""

    name: str = ""


@dataclass(frozen=True)
class Raw:
    """These bytes into the body, `size` bytes a write (0: all at once). Not part of `sent_text`."""

    data: bytes
    size: int = 0


@dataclass(frozen=True)
class End:
    """The proper end: finish reason, usage, [DONE], end of the body."""

    reason: str = "stop"


@dataclass(frozen=True)
class ErrorEvent:
    """An error as a data event in the stream."""

    message: str = "the engine died"
    kind: str = "InternalServerError"
    code: int = 500


@dataclass(frozen=True)
class Status:
    """An HTTP status with the server's error JSON, or with `body` as it is. Ends the request."""

    code: int
    message: str = "refused by the script"
    retry_after: str | None = None
    body: bytes | None = None


@dataclass(frozen=True)
class Reset:
    """Drop the connection with a TCP reset."""


@dataclass(frozen=True)
class Close:
    """Close the connection in the middle of the body."""


@dataclass(frozen=True)
class Hang:
    """Do nothing until the client goes away."""


Step = Say | Wait | Hold | Raw | End | ErrorEvent | Status | Reset | Close | Hang

DEFAULT_SCRIPT: tuple[Step, ...] = (Say(), End())


def find_directive(text: str) -> str | None:
    """The words behind the last `fake:` of a message."""
    found = re.findall(r"\bfake:(\S+)", text)
    return found[-1] if found else None


def steps_of(directive: str, *, user_text: str = "") -> list[Step]:
    """The script that a directive stands for.

    Raises:
        ValueError: an unknown key or a value of the wrong kind.
    """
    pairs = (pair.partition("=") for pair in directive.split(","))
    told = {key: value for key, _, value in pairs}
    count, mark = int(told.pop("tokens", "8")), told.pop("mark", "w")
    tokens = _tokens(told.pop("text", ""), count, user_text, mark)
    delay_s = float(told.pop("delay", "0"))
    first_s = float(told.pop("first", "0"))
    reason = told.pop("reason", "stop")
    retry_after = told.pop("retry_after", None)
    steps: list[Step] = [Wait(first_s)] if first_s else []
    if thoughts := int(told.pop("think", "0")):
        steps.append(Think([f"t{number} " for number in range(thoughts)], delay_s))
    breaks: dict[str, list[Step]] = {
        "cut": [Reset()],
        "close": [Close()],
        "error": [ErrorEvent()],
        "stall": [Hang()],
    }
    for key, value in told.items():
        if key == "hang":
            return [Hang()]
        if key == "status":
            return [*steps, Status(int(value), retry_after=retry_after)]
        if key not in breaks:
            raise ValueError(f"unknown key in a fake: directive: {key}")
        count = int(value)
        head: list[Step] = [Say(tokens[:count], delay_s)] if count else [Say(())]
        return [*steps, *head, *breaks[key]]
    return [*steps, Say(tokens, delay_s), End(reason)]


def _tokens(name: str, count: int, user_text: str, mark: str) -> list[str]:
    if not name:
        return [f"{mark}{number} " for number in range(count)]
    if name == "echo":
        return list(_pieces(user_text, 4))
    return corpora.load("unicode" if name == "corpus" else name)


def _pieces(text: str, size: int) -> Iterator[str]:
    for begin in range(0, len(text), size):
        yield text[begin : begin + size]
