"""The reason of a model server's refusal, in words that may be shown to the user.

A server's message may name hosts, addresses, paths and keys of the company, hold a traceback or
repeat the prompt, which has the company's instructions in it.
"""

import re
import unicodedata
from collections.abc import Sequence

MAX_REASON_CHARS = 300
HIDDEN = "[…]"
_DOMAINS = (
    "ru|su|by|kz|рф|com|net|org|io|dev|cloud|local|localdomain|internal|intranet|intra|corp|lan|home"
    "|svc|cluster|company|example|invalid|test|private|priv|int"
)
# from here on a message shows the inside of a program, or what it was sent
_INSIDE = re.compile(
    r"Traceback \(most recent call last\)|\bFile \"[^\"]*\", line \d"
    r"|[\'\"]input[\'\"]\s*:|\binput_value\s*="
)
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SECRETS = re.compile(
    "|".join(
        (
            r"\b[a-z][a-z0-9+.-]*://[^\s\"\'<>]+",
            r"\bBearer\s+\S+",
            r"\b(?:api[_-]?key|authorization|password|passwd|secret|token)\s*[=:]\s*\S+",
            r"\b(?:sk|pk|hf|ghp|gho|gsk|xai|rk|glpat)[-_][A-Za-z0-9_-]{6,}",
            r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9._-]+",
            r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{32,}\b",
            r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
            r"<[^<>]{0,200}\bat 0x[0-9a-f]+>",
            r"\b0x[0-9a-f]{6,}\b",
            r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b",
            r"\[?\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}\b\]?(?::\d{1,5})?",
            r"\blocalhost(?::\d{1,5})?\b",
            rf"\b(?:[\w-]+\.)+(?:{_DOMAINS})\b(?::\d{{1,5}})?",
            r"\b[\w-]*[A-Za-z][\w.-]*:\d{2,5}\b",
            r"(?<![\w.])~?/(?:[\w.+@-]+/)+[\w.+@-]*",
            r"\b[A-Za-z]:\\\S+",
        )
    ),
    re.IGNORECASE,
)


def clean_reason(message: str, prompt: Sequence[str] = ()) -> str:
    """Returns at most MAX_REASON_CHARS characters of `message` on one line; "" where nothing of it
    may be shown.

    Args:
        prompt: texts that were sent; a message that repeats one of them is not shown.
    """
    message = _INSIDE.split(message[: MAX_REASON_CHARS * 20], maxsplit=1)[0]
    message = _TERMINAL.sub("", message)
    if re.match(r"\s*<", message) or _repeats(message, prompt):
        return ""
    line = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in message)
    line = " ".join(_SECRETS.sub(HIDDEN, line).split()).strip(" ,;:{[(\"'")
    if len(line) > MAX_REASON_CHARS:
        line = line[: MAX_REASON_CHARS - 1].rstrip() + "…"
    return line if re.search(r"\w", line.replace(HIDDEN, "")) else ""


def without_prompt(message: str, prompt: Sequence[str]) -> str:
    """Returns the message for the log, without the prompt: vLLM repeats a body that it refuses."""
    message = re.split(r"""['"]input['"]\s*:""", message, maxsplit=1)[0]
    return "(a message that repeats the prompt)" if _repeats(message, prompt) else message


def _repeats(message: str, prompt: Sequence[str]) -> bool:
    for text in prompt:
        for line in text.splitlines():
            words = line.strip()
            if len(words) >= 8 and (words[:40] in message or words[-40:] in message):
                return True
    return False
