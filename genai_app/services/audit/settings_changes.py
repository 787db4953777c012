"""Records in the audit which settings changed since the last start.

Settings come from the environment, so the product does not know who changed them. An event has the
time and the new value; of a secret only that it changed.
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
# a PostgreSQL advisory lock: two processes that start together record a change once
LOCK = 0x67656E61_00000007
# settings of a host or process, not of the installation
OF_HOST = frozenset(
    {"host", "port", "data_dir", "audit_anchor", "backup_dir", "log_level", "log_format"}
)


async def record_settings(db: Database, settings: Settings) -> list[str]:
    """Records the settings that changed since the last start of any process. Returns their names.

    The first start records the settings that differ from their defaults.
    """
    names = _of_installation(settings)
    current = {f"{PREFIX}{name.upper()}": _recorded(settings, name) for name in names}
    async with db.read() as session:
        if not await _changed_settings(session, current):
            return []
    async with db.write() as session:
        if not db.is_sqlite:
            await session.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        changed = await _changed_settings(session, current)  # another process may have been first
        for name, details in changed.items():
            row = event(Action.SETTING_CHANGE, by=BY, target=name)
            row.details = details
            session.add(row)
    return list(changed)


async def _changed_settings(session: AsyncSession, current: Mapping[str, str]) -> dict[str, str]:
    """Returns the settings that differ from the last audited values, as {name: details}."""
    query = (
        sa.select(col(AuditEvent.target), col(AuditEvent.details))
        .where(col(AuditEvent.action) == Action.SETTING_CHANGE, col(AuditEvent.actor_name) == BY)
        .order_by(col(AuditEvent.at), col(AuditEvent.id))
    )
    before = {
        name: details for name, details in await session.execute(query)
    }  # few rows: changes are rare
    default = _details(DEFAULT, "")
    after = {name: current.get(name, default) for name in sorted({*current, *before})}
    return {name: new for name, new in after.items() if new != before.get(name, default)}


def _of_installation(settings: Settings) -> list[str]:
    """Returns the names of the fields whose values are not the defaults."""
    fields = type(settings).model_fields
    return [
        name
        for name in sorted(settings.model_fields_set - OF_HOST)
        if getattr(settings, name) != fields[name].get_default(call_default_factory=True)
    ]


def _recorded(settings: Settings, name: str) -> str:
    """Returns the details of an event about a setting: its value, or "changed" for a secret."""
    value: Any = getattr(settings, name)
    secret = isinstance(value, SecretStr)
    text = value.get_secret_value() if secret else str(value)
    digest = hmac.new(settings.secret, f"{name}\n{text}".encode(), hashlib.sha256).hexdigest()
    return _details("changed" if secret else text, digest[:16])


def _details(value: str, digest: str) -> str:
    text = " ".join(value.split())[:100]
    return f"value={text} digest={digest}" if digest else f"value={text}"
