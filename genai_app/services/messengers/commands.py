"""Reads what a user wants of the bot: a command, a button, or a question."""

from dataclasses import dataclass

from genai_app.adapters.messenger import ChatUpdate, UpdateKind
from genai_app.services.messengers.sentences import COMMANDS

QUESTION, FILE, FORWARDED = "question", "file", "forwarded"
ATTACH = "attach"  # files without a question: the next one has them
BUTTONS = frozenset({"stop", "again", "up", "down", "new", "open", "lang", "unlink"})
MODEL_CALLS = frozenset({QUESTION, "again"})
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A wish of a user. `argument`: of a command or a button; of a question its text."""

    what: str
    argument: str = ""

    @property
    def calls_model(self) -> bool:
        """True for what begins an answer, so that it waits for the one before."""
        return self.what in MODEL_CALLS


def wanted(update: ChatUpdate, *, mark: str = "/") -> Wanted:
    """Returns what an update asks for.

    Args:
        mark: what commands begin with; "": a message that is just the word is the command, as
            in a messenger that keeps slashes for itself.
    """
    if update.kind is UpdateKind.BUTTON:
        what, _, argument = update.text.partition(":")
        return Wanted(what if what in BUTTONS else UNKNOWN, argument)
    if update.kind is UpdateKind.FILE:
        if not update.files:
            return Wanted(FILE)
        return Wanted(QUESTION, update.text) if update.text.strip() else Wanted(ATTACH)
    text = update.text.strip()
    word, _, argument = text.partition(" ")
    named = word.lstrip("/").partition("@")[0].lower()
    if mark and not text.startswith("/"):
        return Wanted(QUESTION, update.text)
    is_command = named in (*COMMANDS, "start") and (mark or not argument or named == "lang")
    if update.forwarded and (is_command or text.startswith("/")):
        return Wanted(FORWARDED)
    if is_command:
        return Wanted("help" if named == "start" else named, argument.strip())
    return Wanted(UNKNOWN) if mark else Wanted(QUESTION, update.text)
