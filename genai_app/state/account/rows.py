"""Display rows of the settings page."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from genai_app.models import ApiKey, Session
from genai_app.state.dates import day_text, moment_text

# the first that a browser's own description holds; later ones are in those of others too
_BROWSERS = (
    ("YaBrowser", "Яндекс Браузер"),
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrom", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)
_PROGRAM = re.compile(r"[A-Za-z][\w .-]{0,39}")


@dataclass
class KeyRow:
    """An API key. Times are texts by language."""

    id: str
    name: str
    hint: str
    created: dict[str, str]
    used: dict[str, str]  # empty texts: never
    expires: dict[str, str]  # empty texts: never
    expired: bool


@dataclass
class LoginRow:
    """A login. `device`: `Firefox, Linux`, or "" for an unknown one."""

    id: str
    channel: str
    device: str
    address: str
    since: dict[str, str]
    current: bool


def key_row(key: ApiKey, now: datetime) -> KeyRow:
    return KeyRow(
        id=str(key.id),
        name=key.name,
        hint=key.hint,
        created=day_text(key.created_at),
        used=moment_text(key.last_used_at),
        expires=day_text(key.expires_at),
        expired=key.expires_at is not None and key.expires_at <= now,
    )


def login_rows(sessions: Sequence[Session], current: uuid.UUID | None) -> list[LoginRow]:
    """Rows in the order of `sessions`, the present one before all others."""
    ordered = sorted(sessions, key=lambda session: session.id != current)
    return [
        LoginRow(
            id=str(session.id),
            channel=session.channel,
            device=device(session.user_agent),
            address=session.address,
            since=moment_text(session.created_at),
            current=session.id == current,
        )
        for session in ordered
    ]


def device(user_agent: str) -> str:
    """The browser and system that a User-Agent tells of; a program's own name; or nothing."""
    names = [
        next((name for mark, name in marks if mark in user_agent), "")
        for marks in (_BROWSERS, _SYSTEMS)
    ]
    if any(names):
        return ", ".join(filter(None, names))
    program = _PROGRAM.match(user_agent)
    return program[0].strip() if program else ""
