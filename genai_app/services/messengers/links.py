"""Links of messenger accounts to users: made by a code that is shown once on `/settings`, ended on
either side. Who may link is decided by groups, as of the last look at the directory."""

import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, parse_id
from genai_app.db.database import Database
from genai_app.errors import Forbidden, NotFound
from genai_app.models import (
    Channel,
    MessengerAnswer,
    MessengerChat,
    MessengerCode,
    MessengerLink,
    User,
)
from genai_app.services.accounts.sessions import ACTOR_COLUMNS, make_actor
from genai_app.services.audit.events import Action, event
from genai_app.services.derived_keys import derive_key
from genai_app.text import clean_text, is_invisible

CODE_BYTES = 12  # 96 bits
CODE_TTL = timedelta(minutes=10)
MAX_TITLE = 100


@dataclass(frozen=True, slots=True)
class Holder:
    """The user of a linked account. `actor`: None while the account or its right is closed."""

    link_id: uuid.UUID
    actor: Actor | None
    closing_noted: bool  # that it is closed


class Links:
    """Makes, finds and ends links.

    Args:
        secret: the key of the codes' hashes is derived from it.
        groups: per messenger the groups that may link; none: everybody.
    """

    def __init__(self, db: Database, secret: bytes, groups: Mapping[str, Sequence[str]]) -> None:
        self._db = db
        self._secret = derive_key(secret, "messenger codes")
        self._groups = groups

    async def make_code(self, actor: Actor, messenger: str) -> tuple[str, datetime]:
        """Returns a new code of the actor and its end. Earlier ones for the same messenger are
        void.

        Raises:
            Forbidden: messenger_not_allowed: no group of the actor may link.
        """
        code, now = secrets.token_urlsafe(CODE_BYTES), clock.now()
        mine = (
            col(MessengerCode.user_id) == actor.user_id,
            col(MessengerCode.messenger) == messenger,
        )
        async with self._db.write() as session:
            groups = await session.scalar(
                sa.select(col(User.directory_groups)).where(col(User.id) == actor.user_id)
            )
            if not self._may_link(messenger, groups):
                raise Forbidden(code="messenger_not_allowed")
            void = sa.or_(sa.and_(*mine), col(MessengerCode.expires_at) < now)
            await session.execute(sa.delete(MessengerCode).where(void))
            row = MessengerCode(
                code_hash=self._hash(messenger, code),
                user_id=actor.user_id,
                messenger=messenger,
                created_at=now,
                expires_at=now + CODE_TTL,
            )
            session.add(row)
            session.add(event(Action.MESSENGER_CODE, by=actor, target=messenger))
        return code, row.expires_at

    async def redeem(
        self,
        session: AsyncSession,
        messenger: str,
        external_id: str,
        title: str,
        code: str,
        *,
        key: uuid.UUID,
    ) -> Actor | None:
        """Links the account to the user of the code, which is used up. Returns None for a code that
        is wrong, used or too old, and for a user who may not link. An earlier link of the account
        or of the user in this messenger ends. `key`: of the new link."""
        now = clock.now()
        user_id = await session.scalar(
            sa.delete(MessengerCode)
            .where(
                col(MessengerCode.code_hash) == self._hash(messenger, code),
                col(MessengerCode.messenger) == messenger,
                col(MessengerCode.expires_at) > now,
            )
            .returning(col(MessengerCode.user_id))
        )
        if user_id is None:
            return None
        row = (
            await session.execute(
                sa.select(*ACTOR_COLUMNS, col(User.directory_groups)).where(
                    col(User.id) == user_id, col(User.disabled_at).is_(None)
                )
            )
        ).one_or_none()
        if row is None or not self._may_link(messenger, row.directory_groups):
            return None
        actor = make_actor(row[:-1], Channel(messenger))
        earlier = sa.or_(
            col(MessengerLink.external_id) == external_id, col(MessengerLink.user_id) == user_id
        )
        await _end(session, messenger, "replaced", earlier, by=actor)
        title = "".join(each for each in clean_text(title) if not is_invisible(each))
        session.add(
            MessengerLink(
                id=key,
                user_id=user_id,
                messenger=messenger,
                external_id=external_id,
                title=title[:MAX_TITLE],
                linked_at=now,
            )
        )
        session.add(event(Action.MESSENGER_LINK, by=actor, target=messenger))
        return actor

    async def is_open(self, actor: Actor, messenger: str, code: str) -> bool:
        """Returns whether a code of the actor still waits to be used."""
        query = sa.select(col(MessengerCode.user_id)).where(
            col(MessengerCode.code_hash) == self._hash(messenger, code),
            col(MessengerCode.user_id) == actor.user_id,
            col(MessengerCode.expires_at) > clock.now(),
        )
        async with self._db.read() as session:
            return await session.scalar(query) is not None

    async def find(self, messenger: str, external_id: str) -> Holder | None:
        """Returns the user of an account; None for one that nobody linked."""
        query = (
            sa.select(
                col(MessengerLink.id),
                col(MessengerLink.refused_at),
                col(User.disabled_at),
                col(User.directory_groups),
                *ACTOR_COLUMNS,
            )
            .join(User, col(User.id) == col(MessengerLink.user_id))
            .where(
                col(MessengerLink.messenger) == messenger,
                col(MessengerLink.external_id) == external_id,
                col(MessengerLink.unlinked_at).is_(None),
            )
        )
        async with self._db.read() as session:
            row = (await session.execute(query)).one_or_none()
        if row is None:
            return None
        link_id, refused_at, disabled_at, groups, *user = row
        is_open = disabled_at is None and self._may_link(messenger, groups)
        actor = make_actor(user, Channel(messenger)) if is_open else None
        return Holder(link_id, actor, refused_at is not None)

    async def note_closing(self, holder: Holder, *, noted: bool) -> None:
        """Notes that a user was told that the account is closed, or that it is open again."""
        async with self._db.write() as session:
            await session.execute(
                sa.update(MessengerLink)
                .where(col(MessengerLink.id) == holder.link_id)
                .values(refused_at=clock.now() if noted else None)
            )

    async def list(self, actor: Actor) -> Sequence[MessengerLink]:
        """Returns the actor's links, newest first."""
        query = (
            sa.select(MessengerLink)
            .where(
                col(MessengerLink.user_id) == actor.user_id,
                col(MessengerLink.unlinked_at).is_(None),
            )
            .order_by(col(MessengerLink.id).desc())
        )
        async with self._db.read() as session:
            return (await session.scalars(query)).all()

    async def unlink(self, actor: Actor, link_id: object) -> None:
        """Ends a link of the actor. Raises NotFound."""
        mine = sa.and_(
            col(MessengerLink.id) == parse_id(link_id), col(MessengerLink.user_id) == actor.user_id
        )
        async with self._db.write() as session:
            if not await _end(session, None, "unlinked", mine, by=actor):
                raise NotFound

    async def unlink_account(
        self, messenger: str, external_id: str, reason: str, *, by: Actor | None = None
    ) -> None:
        """Ends the link of an account. `reason`: `unlinked` by its user, or `blocked`."""
        account = col(MessengerLink.external_id) == external_id
        async with self._db.write() as session:
            await _end(session, messenger, reason, account, by=by)

    async def unlink_user(self, messenger: str, user_id: uuid.UUID, reason: str) -> None:
        """Ends the link of a user in a messenger."""
        async with self._db.write() as session:
            await _end(session, messenger, reason, col(MessengerLink.user_id) == user_id, by=None)

    def _may_link(self, messenger: str, directory_groups: str | None) -> bool:
        """Returns whether a user with these groups, as in User.directory_groups, may link."""
        allowed = self._groups.get(messenger, ())
        answers: dict[str, bool] = json.loads(directory_groups) if directory_groups else {}
        return not allowed or any(answers.get(group) for group in allowed)

    def _hash(self, messenger: str, code: str) -> bytes:
        return hmac.new(self._secret, f"{messenger} {code}".encode(), hashlib.sha256).digest()


async def linked_by(session: AsyncSession, key: uuid.UUID) -> Actor | None:
    """Returns the user of the link with this key, if there is one that holds."""
    query = (
        sa.select(*ACTOR_COLUMNS, col(MessengerLink.messenger))
        .join(MessengerLink, col(User.id) == col(MessengerLink.user_id))
        .where(col(MessengerLink.id) == key, col(MessengerLink.unlinked_at).is_(None))
    )
    row = (await session.execute(query)).one_or_none()
    return make_actor(row[:-1], Channel(row.messenger)) if row is not None else None


async def _end(
    session: AsyncSession,
    messenger: str | None,
    reason: str,
    which: sa.ColumnElement[bool],
    *,
    by: Actor | None,
) -> int:
    """Ends links with the state of their chats, audited. Returns their number."""
    in_messenger = [] if messenger is None else [col(MessengerLink.messenger) == messenger]
    rows = (
        await session.execute(
            sa.update(MessengerLink)
            .where(which, *in_messenger, col(MessengerLink.unlinked_at).is_(None))
            .values(unlinked_at=clock.now(), end_reason=reason)
            .returning(col(MessengerLink.messenger), col(MessengerLink.user_id))
        )
    ).all()
    for row in rows:
        for table in (MessengerChat, MessengerAnswer):
            await session.execute(
                sa.delete(table).where(
                    col(table.messenger) == row.messenger, col(table.user_id) == row.user_id
                )
            )
        name = by or (await session.get_one(User, row.user_id))
        session.add(
            event(
                Action.MESSENGER_UNLINK,
                by=name,
                target=row.messenger,
                channel=row.messenger,
                reason=reason,
            )
        )
    return len(rows)
