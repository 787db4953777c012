"""The effect of a reviewer's verdict on later answers.

A text that is called wrong or unsafe is barred for its question: no process gives it from the cache
or keeps it there again, also after Redis was emptied. The table is the truth; each process knows it
(services/reuse/known_digests.py), and the one that takes the verdict at once.
"""

from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, parse_id
from genai_app.db.database import Database
from genai_app.errors import Forbidden, NotFound
from genai_app.models import Author, BarredAnswer, Message, Role, Verdict
from genai_app.services.reuse.cache import AnswerCache, answer_digest
from genai_app.services.reuse.known_digests import Known
from genai_app.services.reuse.verified import Verified

BARRING = (Verdict.WRONG, Verdict.UNSAFE)


class Verdicts:
    """Lets verdicts act on the answer cache and on verified answers."""

    def __init__(self, db: Database, cache: AnswerCache, verified: Verified) -> None:
        self._db = db
        self._cache = cache
        self._verified = verified
        self._barred = Known(
            db,
            mark=sa.select(sa.func.count(), sa.func.max(BarredAnswer.created_at)).select_from(
                BarredAnswer
            ),
            digests=sa.select(col(BarredAnswer.digest)),
            into=cache.barred,
        )

    async def on_verdict(self, actor: Actor, message_id: object, verdict: Verdict) -> None:
        """Applies a verdict on an answer. Wrong or unsafe: bars it from the cache, and retires the
        verified answer it was copied from. Good: lifts the bar. Any other changes nothing.

        Raises Forbidden; NotFound for what is no answer.
        """
        if not actor.has(Role.REVIEWER):
            raise Forbidden
        if verdict not in (*BARRING, Verdict.GOOD):
            return
        async with self._db.read() as session:
            answer = await session.get(Message, parse_id(message_id))
            if answer is None or answer.author != Author.ASSISTANT or answer.parent_id is None:
                raise NotFound
            question = await session.get_one(Message, answer.parent_id)
        digest = answer_digest(question.text, answer.text)
        if verdict is Verdict.GOOD:
            await self._lift(digest)
            return
        await self._bar(digest, answer)
        await self._cache.purge(digest)
        if answer.verified_id is not None:
            await self._verified.retire(actor, answer.verified_id)

    async def refresh(self) -> None:
        """Reads the verdicts that other processes took. Raises StorageUnavailable."""
        await self._barred.refresh()

    async def _bar(self, digest: bytes, answer: Message) -> None:
        row = BarredAnswer(digest=digest, message_id=answer.id, created_at=clock.now())
        with suppress(IntegrityError):  # another reviewer at the same moment
            async with self._db.write() as session:
                await session.merge(row)
        self._barred.add(digest)

    async def _lift(self, digest: bytes) -> None:
        async with self._db.write() as session:
            await session.execute(sa.delete(BarredAnswer).where(col(BarredAnswer.digest) == digest))
        self._barred.discard(digest)
