"""Who may link a messenger, how long, and what the directory has to do with it."""

import json
from datetime import timedelta
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import Forbidden, NotFound
from genai_app.models import MessengerCode, MessengerLink, Origin, User, new_id
from genai_app.services.accounts.rechecks import Rechecks
from genai_app.services.messengers.links import Links

pytest_plugins = ("tests.unit.talk_fixtures",)

SECRET = b"a secret of thirty-two bytes long"


async def redeem(links: Links, db: Database, code: str, account: str = "7") -> Actor | None:
    async with db.write() as session:
        return await links.redeem(session, "telegram", account, "@a\u202e", code, key=new_id())


async def set_groups(db: Database, actor: Actor, **groups: bool) -> None:
    async with db.write() as session:
        mine = sa.update(User).where(col(User.id) == actor.user_id)
        await session.execute(mine.values(directory_groups=json.dumps(groups)))


async def test_groups_decide_who_may_link(db: Database, as_alice: Actor) -> None:
    """As of the last recheck: who leaves the group is answered no more, and again when back."""
    links = Links(db, SECRET, {"telegram": ("Staff",)})
    for groups in ({}, {"Staff": False}, {"Others": True}):
        await set_groups(db, as_alice, **groups)
        with pytest.raises(Forbidden, match="messenger_not_allowed"):
            await links.make_code(as_alice, "telegram")
    await set_groups(db, as_alice, Staff=True)
    code, _ = await links.make_code(as_alice, "telegram")
    assert await redeem(links, db, code) is not None
    for member in (False, True):
        await set_groups(db, as_alice, Staff=member)
        holder = await links.find("telegram", "7")
        assert holder is not None
        assert (holder.actor is not None) is member


async def test_a_code_works_once_for_ten_minutes(
    db: Database, as_alice: Actor, as_bob: Actor
) -> None:
    links = Links(db, SECRET, {})
    first, _ = await links.make_code(as_alice, "telegram")
    code, expires_at = await links.make_code(as_alice, "telegram")
    assert timedelta(minutes=9) < expires_at - clock.now() <= timedelta(minutes=10)
    assert await redeem(links, db, first) is None  # the second one made it void
    async with db.read() as session:
        (row,) = await session.scalars(sa.select(MessengerCode))
    assert code.encode() not in row.code_hash
    assert await redeem(links, db, code) is not None
    assert await redeem(links, db, code) is None
    late, _ = await links.make_code(as_bob, "telegram")
    async with db.write() as session:
        await session.execute(sa.update(MessengerCode).values(expires_at=clock.now()))
    assert await redeem(links, db, late) is None
    (link,) = await links.list(as_alice)
    assert link.title == "@a"
    with pytest.raises(NotFound):
        await links.unlink(as_bob, str(link.id))
    await links.unlink(as_alice, str(link.id))
    assert await links.find("telegram", "7") is None


async def test_a_linked_account_is_rechecked(db: Database) -> None:
    """Also when its user has no login: the bot asks nobody for a password."""
    user = User(username="ivanov", origin=Origin.DIRECTORY, external_id="1")
    async with db.write() as session:
        session.add(user)
    actor = Actor(user.id, "ivanov", "", cast("Any", "admin"), cast("Any", "web"))
    nothing = cast("Any", None)
    rechecks = Rechecks(db, nothing, nothing, nothing, 900)
    assert await rechecks.make_all_due(actor) == 0
    link = MessengerLink(user_id=user.id, messenger="telegram", external_id="7")
    async with db.write() as session:
        session.add(link)
    assert await rechecks.make_all_due(actor) == 1
