"""Sentences and buttons of the bot, below and in place of an answer, in its user's language."""

import uuid

from genai_app.adapters.messenger import Button
from genai_app.errors import AppError
from genai_app.i18n import catalogue, duration_text, translate
from genai_app.models import Source, Status
from genai_app.services.generation.checkpoints import End

COMMANDS = ("new", "stop", "again", "history", "lang", "help", "unlink")


def command_menu(locale: str) -> dict[str, str]:
    """Returns the commands with their meanings, for the messenger's menu."""
    return {name: translate(locale, f"bot.command_{name}") for name in COMMANDS}


def help_text(locale: str, url: str, mark: str) -> str:
    """Returns what the bot can do, with its commands. `mark`: what they begin with, "/" or ""."""
    lines = [f"{mark}{name} — {meaning}" for name, meaning in command_menu(locale).items()]
    return "\n".join((translate(locale, "bot.help", url=url), "", *lines))


def refusal_text(error: AppError, locale: str, mark: str) -> str:
    """Returns why something was not done, and what to do. `mark`: as in help_text."""
    key = f"bot.error_{error.sentence}"
    if key not in catalogue(locale):
        return error.user_text(locale)
    wait = duration_text(locale, error.retry_after_s or 0)
    return translate(locale, key, **{**error.params, "wait": wait, "mark": mark})


def waiting_text(locale: str, position: int, reasoning_ms: int | None, *, thinks: bool) -> str:
    """Returns the one line that stands until the first words of an answer come."""
    if position:
        return translate(locale, "bot.queued", position=position)
    if thinks:
        return translate(locale, "bot.thinking", seconds=(reasoning_ms or 0) // 1000)
    return translate(locale, "bot.waiting")


def footer(locale: str, end: End, mark: str) -> str:
    """Returns the lines below an ended answer: how it ended, and where it came from. `mark`: as in
    help_text."""
    lines: list[str] = []
    if end.status is not Status.COMPLETE:
        key = f"error.{end.error_code}"
        texts = catalogue(locale)
        why = AppError(code=end.error_code or "internal", **end.details)
        named = end.error_code is not None and key in texts
        lines.append(refusal_text(why, locale, mark) if named else texts[f"status.{end.status}"])
    where = [end.model or ""]
    if end.source is Source.CACHE:
        where.append(translate(locale, "bot.source_cache"))
    elif end.source is Source.VERIFIED:
        where = [translate(locale, "bot.source_verified")]
    source = " · ".join(filter(None, where))
    if source:
        lines.append(f"— {source}")
    return "\n".join(lines)


def running_buttons(locale: str, answer_id: uuid.UUID) -> list[Button]:
    """Returns the button of an answer that is being written."""
    return [Button(f"stop:{answer_id.hex}", translate(locale, "bot.button_stop"))]


def ended_buttons(locale: str, answer_id: uuid.UUID, end: End) -> list[Button]:
    """Returns the buttons of an ended answer; thumbs where there is something to judge."""
    key = answer_id.hex
    thumbs = [Button(f"up:{key}", "👍"), Button(f"down:{key}", "👎")]
    return [
        *(thumbs if end.status is not Status.FAILED else []),
        Button(f"again:{key}", translate(locale, "bot.button_again")),
        Button("new", translate(locale, "bot.button_new")),
    ]
