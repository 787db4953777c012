"""Ends the sessions and API keys of local accounts when local login is switched off."""

import uuid
from collections import Counter

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.models import ApiKey, Generation, Origin, Session, User
from genai_app.services.accounts.api_keys import alive_key
from genai_app.services.accounts.sessions import live_session
from genai_app.services.audit.events import Action, event

log = structlog.stdlib.get_logger(__name__)

REASON = "local_login_off"


async def end_local_access(db: Database) -> int:
    """Ends all sessions, API keys and running answers of local accounts.

    When several replicas start at the same time, each session and key is ended and audited once.
    Returns the number of accounts that had a session or key.
    """
    local = sa.select(col(User.id)).where(col(User.origin) == Origin.LOCAL).scalar_subquery()
    now = clock.now()
    async with db.write() as session:
        ended = await session.scalars(
            sa.update(Session)
            .where(col(Session.user_id).in_(local), live_session())
            .values(ended_at=now, end_reason=REASON)
            .returning(col(Session.user_id))
        )
        sessions: Counter[uuid.UUID] = Counter(ended.all())
        revoked = await session.execute(
            sa.update(ApiKey)
            .where(col(ApiKey.user_id).in_(local), alive_key())
            .values(revoked_at=now)
            .returning(col(ApiKey.user_id), col(ApiKey.hint))
        )
        keys = [(row.user_id, row.hint) for row in revoked]
        await session.execute(
            sa.update(Generation)
            .where(col(Generation.user_id).in_(local), col(Generation.ended_at).is_(None))
            .values(stop_requested_at=now)
        )
        affected = {*sessions, *(user_id for user_id, _ in keys)}
        users = await session.scalars(sa.select(User).where(col(User.id).in_(affected)))
        names = {user.id: user.username for user in users}
        by = "the system"
        session.add_all(
            event(Action.SESSION_REVOKE, by=by, target=names[user_id], count=count, reason=REASON)
            for user_id, count in sessions.items()
        )
        session.add_all(
            event(Action.KEY_REVOKE, by=by, target=names[user_id], key=hint, reason=REASON)
            for user_id, hint in keys
        )
    if affected:
        logins = sessions.total()
        log.info("local_login.ended", accounts=len(affected), logins=logins, keys=len(keys))
    return len(affected)
