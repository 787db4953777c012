"""Writes to the audit which settings are others than at the last start.

Settings come from the environment, so nobody here knows who changed them; when and what to, and
that it was done, is known. Of a secret only that it changed.
"""

import hashlib
import hmac
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr
from sqlmodel import col

from genai_app.db import Database
from genai_app.models import Action, AuditEvent
from genai_app.services.audit import event
from genai_app.settings import PREFIX, Settings

BY = "settings"
DEFAULT = "default"
# of a host or a process, and so no rule of the installation
OF_HOST = frozenset(
    {"host", "port", "data_dir", "audit_anchor", "backup_dir", "log_level", "log_format"}
)


async def record_settings(db: Database, settings: Settings) -> list[str]:
    """Record what has changed since the last start of any process. Returns the names.

    The first start records whatever differs from the defaults.
    """
    now = {f"{PREFIX}{name.upper()}": _told(settings, name) for name in _of_installation(settings)}
    told = (
        sa.select(col(AuditEvent.target), col(AuditEvent.details))
        .where(col(AuditEvent.action) == Action.SETTING_CHANGE, col(AuditEvent.actor_name) == BY)
        .order_by(col(AuditEvent.at), col(AuditEvent.id))
    )
    async with db.read() as session:  # a few a year
        before = {name: details for name, details in await session.execute(told)}
    default = _details(DEFAULT, "")
    changed = sorted(n for n in {*now, *before} if now.get(n, default) != before.get(n, default))
    if not changed:
        return []
    async with db.write() as session:
        for name in changed:
            row = event(Action.SETTING_CHANGE, by=BY, target=name)
            row.details = now.get(name, default)
            session.add(row)
    return changed


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
