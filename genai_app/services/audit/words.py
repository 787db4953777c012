"""Describes an audit event for readers: a sentence, its object and facts, in each language.

The row itself keeps codes (`to=taken`, ids).
"""

import re
import uuid
from dataclasses import dataclass
from typing import Any

from genai_app.i18n import catalogue, translate
from genai_app.models import Action, Outcome
from genai_app.settings.notations import limit_words

_DETAIL = re.compile(r"(?:^| )(\w+)=")
_SECTIONS = frozenset({"overview", "dialogs", "verified", "users", "audit", "exports"})
# the target of these actions is a name; of others it is an id or a code
_NAMED = frozenset(
    {
        *(Action.USER_ADD, Action.USER_DISABLE, Action.USER_ENABLE, Action.USER_RENAME),
        *(Action.USER_PASSWORD, Action.ROLE_CHANGE, Action.LIMIT_CHANGE, Action.SESSION_REVOKE),
        *(Action.KEY_CREATE, Action.KEY_REVOKE, Action.EXPORT, Action.EXPORT_DOWNLOAD),
        *(Action.HOLD, Action.ERASE, Action.BACKUP, Action.DRILL, Action.RESTORE),
        *(Action.SETTING_CHANGE, Action.USER_UNLOCK, Action.DIRECTORY_ALARM),
    }
)
_OF_DIALOG = frozenset(
    {
        *(Action.DIALOG_READ, Action.DIALOG_REVEAL, Action.REVIEW_STATE, Action.REVIEW_NOTE),
        *(Action.VERDICT, Action.HOLD, Action.EXPORT, Action.EXPORT_DOWNLOAD),
        Action.FILE_READ,
    }
)
_NO_NAMES = frozenset({"everybody", "others", "verified", "mine", "default"})
# facts whose value is a number, a name or a date, shown unchanged
_PLAIN = frozenset(
    {
        *("count", "rows", "dialogs", "messages", "deleted_dialogs", "files", "sessions_ended"),
        *("keys_revoked", "department", "since", "until", "model", "format", "review_by", "key"),
    }
)


@dataclass(frozen=True, slots=True)
class EventWords:
    """`sentence` and `facts` by language. `name`: the object of the event, as in the row.
    `dialog_id`: the dialog that the event is about, "" for none."""

    sentence: dict[str, str]
    facts: dict[str, str]
    name: str
    dialog_id: str


def event_words(row: Any, locales: tuple[str, ...]) -> EventWords:
    """Returns the words of a row with the columns of AuditEvent."""
    details = parse_details(row.details)
    dialog_id = details.get("of", "") if row.action == Action.VERDICT else row.target
    shown = row.action in _NAMED and row.target not in _NO_NAMES and not _is_id(row.target)
    return EventWords(
        sentence={locale: _sentence(row, locale) for locale in locales},
        facts={locale: _facts(row, details, locale) for locale in locales},
        name=row.target if shown else "",
        dialog_id=dialog_id if row.action in _OF_DIALOG and _is_id(dialog_id) else "",
    )


def parse_details(text: str) -> dict[str, str]:
    """Returns `{"reason": "disabled"}` of `reason=disabled`. A value may hold spaces."""
    marks = list(_DETAIL.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return {mark[1]: text[mark.end() : end] for mark, end in zip(marks, ends, strict=False)}


def _sentence(row: Any, locale: str) -> str:
    texts = catalogue(locale)
    refused = "_refused" if row.outcome == Outcome.REFUSED else ""
    for key in (f"event.{row.action}{refused}", f"action.{row.action}"):
        if key in texts:
            return texts[key]
    return texts["event.other"]


def _facts(row: Any, details: dict[str, str], locale: str) -> str:
    facts = [_section(row, locale), _channel(row, locale)]
    facts += [_fact(name, value, locale) for name, value in details.items()]
    return " · ".join(filter(None, facts))


def _section(row: Any, locale: str) -> str:
    if row.action not in (Action.ADMIN_VIEW, Action.ACCESS):
        return ""
    words = re.findall(r"[a-z]+", row.target)
    section = next((word for word in words if word in _SECTIONS), "")
    return catalogue(locale)[f"admin.{section}"] if section else ""


def _channel(row: Any, locale: str) -> str:
    texts = catalogue(locale)
    return texts.get(f"logins.{row.channel}", "") if row.action == Action.LOGIN else ""


def _fact(name: str, value: str, locale: str) -> str:
    """Returns `роль: Проверяющий`; "" for facts that only programs use."""
    texts = catalogue(locale)
    if name == "filters":
        words = filter(None, (texts.get(f"event.filter.{each}", "") for each in value.split(",")))
        text = ", ".join(words)
    elif name == "limit":
        text = limit_words(value, locale)
    elif name in _PLAIN and value != "none":
        text = value
    else:
        keys = (f"event.value.{value}", f"role.{value}", f"review.state_{value}")
        keys += (f"review.verdict_{value}", f"export.kind_{value}", f"review.source_{value}")
        text = next((texts[key] for key in keys if key in texts), "")
    if not text or f"event.fact.{name}" not in texts:
        return ""
    return translate(locale, f"event.fact.{name}", value=text)


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
