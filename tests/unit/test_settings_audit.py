"""Which settings are others than at the last start, and no secret of them in the audit."""

import asyncio
from collections.abc import Callable

import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import Action, AuditEvent
from genai_app.services.audit.settings_changes import record_settings
from genai_app.settings.settings import Settings

SECRET = "canary-secret-canary-secret-0123456789"


async def told(db: Database) -> list[tuple[str, str]]:
    async with db.read() as session:
        rows = await session.execute(
            sa.select(col(AuditEvent.target), col(AuditEvent.details))
            .where(col(AuditEvent.action) == Action.SETTING_CHANGE)
            .order_by(col(AuditEvent.at), col(AuditEvent.id))
        )
        return [(name, details.partition(" digest=")[0]) for name, details in rows]


async def test_what_changed_is_recorded_once(
    db: Database, settings: Callable[..., Settings]
) -> None:
    first = settings(secret_key=SECRET, rate_limit="60/minute", port=9000)
    assert await record_settings(db, first) == ["GENAI_RATE_LIMIT", "GENAI_SECRET_KEY"]
    assert await record_settings(db, first) == []
    more = settings(secret_key=SECRET, rate_limit="90/minute", review_mode="off", port=9001)
    assert await record_settings(db, more) == ["GENAI_RATE_LIMIT", "GENAI_REVIEW_MODE"]
    assert await record_settings(db, settings(secret_key=SECRET)) == [
        "GENAI_RATE_LIMIT",
        "GENAI_REVIEW_MODE",
    ]
    assert await told(db) == [
        ("GENAI_RATE_LIMIT", "value=60/minute"),
        ("GENAI_SECRET_KEY", "value=changed"),
        ("GENAI_RATE_LIMIT", "value=90/minute"),
        ("GENAI_REVIEW_MODE", "value=off"),
        ("GENAI_RATE_LIMIT", "value=default"),
        ("GENAI_REVIEW_MODE", "value=default"),
    ]


async def test_processes_that_start_at_once_record_it_once(
    db: Database, settings: Callable[..., Settings]
) -> None:
    same = settings(secret_key=SECRET, rate_limit="60/minute")
    names = await asyncio.gather(*(record_settings(db, same) for _ in range(5)))
    changed = ["GENAI_RATE_LIMIT", "GENAI_SECRET_KEY"]
    assert sorted(names) == [[], [], [], [], changed]
    assert [name for name, _ in await told(db)] == changed


async def test_of_a_secret_only_that_it_changed(
    db: Database, settings: Callable[..., Settings]
) -> None:
    await record_settings(db, settings(secret_key=SECRET, llm_api_key="canary-old"))
    changed = await record_settings(db, settings(secret_key=SECRET, llm_api_key="canary-new"))
    assert changed == ["GENAI_LLM_API_KEY"]
    async with db.read() as session:
        rows = list(await session.scalars(sa.select(AuditEvent)))
    assert "canary" not in repr(rows)
