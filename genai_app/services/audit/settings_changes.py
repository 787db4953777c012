"""Writes to the audit which settings are others than at the last start.

Settings come from the environment, so nobody here knows who changed them; when and what to, and
that it was done, is known. Of a secret only that it changed.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import Action, AuditEvent
from genai_app.services.audit.events import event
from genai_app.settings.settings import PREFIX, Settings

BY = "settings"
DEFAULT = "default"
LOCK = 0x67656E61_00000007  # of PostgreSQL's advisory locks: two that start at once tell it once
# of a host or a process, and so no rule of the installation
OF_HOST = frozenset(
    {"host", "port", "data_dir", "audit_anchor", "backup_dir", "log_level", "log_format"}
)


async def record_settings(db: Database, settings: Settings) -> list[str]:
    """Record what has changed since the last start of any process. Returns the names.

    The first start records whatever differs from the defaults.
    """
    now = {f"{PREFIX}{name.upper()}": _told(settings, name) for name in _of_installation(settings)}
    async with db.read() as session:
        if not await _changed(session, now):
            return []
    async with db.write() as session:
        if not db.is_sqlite:
            await session.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        changed = await _changed(session, now)  # another process may have been first
        for name, details in changed.items():
            row = event(Action.SETTING_CHANGE, by=BY, target=name)
            row.details = details
            session.add(row)
    return list(changed)


async def _changed(session: AsyncSession, now: Mapping[str, str]) -> dict[str, str]:
    """What is to be told of each setting that is another than was told last, by name."""
    told = (
        sa.select(col(AuditEvent.target), col(AuditEvent.details))
        .where(col(AuditEvent.action) == Action.SETTING_CHANGE, col(AuditEvent.actor_name) == BY)
        .order_by(col(AuditEvent.at), col(AuditEvent.id))
    )
    before = {name: details for name, details in await session.execute(told)}  # a few a year
    default = _details(DEFAULT, "")
    news = {name: now.get(name, default) for name in sorted({*now, *before})}
    return {name: new for name, new in news.items() if new != before.get(name, default)}


def _of_installation(settings: Settings) -> list[str]:
    """Names of the fields that are not as they come."""
    fields = type(settings).model_fields
    return [
        name
        for name in sorted(settings.model_fields_set - OF_HOST)
        if getattr(settings, name) != fields[name].get_default(call_default_factory=True)
    ]


def _told(settings: Settings, name: str) -> str:
    value: Any = getattr(settings, name)
    secret = isinstance(value, SecretStr)
    text = value.get_secret_value() if secret else str(value)
    digest = hmac.new(settings.secret, f"{name}\n{text}".encode(), hashlib.sha256).hexdigest()
    return _details("changed" if secret else text, digest[:16])


def _details(value: str, digest: str) -> str:
    told = " ".join(value.split())[:100]
    return f"value={told} digest={digest}" if digest else f"value={told}"
