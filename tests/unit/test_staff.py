"""What a login or a recheck makes of an account, and its roles."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from genai_app import clock
from genai_app.access import Actor
from genai_app.adapters.directory.client import AccountState, DirectoryPerson
from genai_app.db.database import Database
from genai_app.errors import DirectoryUnavailable, Forbidden, NotAuthenticated
from genai_app.models import AuditEvent, Channel, Origin, Role, User
from genai_app.services.accounts.api_keys import Keys
from genai_app.services.accounts.sessions import Sessions
from genai_app.services.accounts.staff import Staff
from genai_app.services.accounts.users import Users
from genai_app.settings.settings import Settings

ALLOWED, REVIEWERS, ADMINS = "staff", "cn=Reviewers,dc=corp", "admins"


def person(name: str = "ivanov", *groups: str, **more: object) -> DirectoryPerson:
    known = DirectoryPerson(
        id=str(uuid.uuid4()),
        dn=f"uid={name},ou=people,dc=corp",
        username=name,
        full_name="Иванов Пётр",
        mail="",
        groups=frozenset(groups or (ALLOWED,)),
        state=AccountState.ACTIVE,
    )
    return replace(known, **more)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def make_staff(db: Database, settings: Callable[..., Settings]) -> Callable[..., Staff]:
    def make(**overrides: object) -> Staff:
        told = {
            "ldap_urls": ("ldaps://dc1",),
            "ldap_bind_dn": "cn=service",
            "ldap_bind_password": "secret",
            "ldap_user_base": "dc=corp",
            "ldap_allowed_groups": (ALLOWED,),
            "ldap_reviewer_groups": (REVIEWERS,),
            "ldap_admin_groups": (ADMINS,),
        }
        return Staff(db, settings(**{**told, **overrides}))

    return make


@pytest.fixture
def staff(make_staff: Callable[..., Staff]) -> Staff:
    return make_staff()


def actor_of(user: User) -> Actor:
    return Actor(user.id, user.username, user.full_name, Role(user.role), Channel.WEB)


async def actions(db: Database) -> list[str]:
    async with db.read() as session:
        return list(await session.scalars(sa.select(AuditEvent.action).order_by(AuditEvent.id)))  # pyright: ignore


async def test_an_account_is_its_id(staff: Staff, users: Users) -> None:
    """Name, full name and mail follow the directory; the account stays."""
    first = await staff.enter(known := person("ivanov"))
    moved = replace(
        known, username="Petrov", full_name="Петров", mail="p@corp", dn="uid=p", department="Связь"
    )
    again = await staff.enter(moved)
    assert again.id == first.id
    row = await users.get(first.id)
    assert (row.username, row.full_name, row.mail, row.directory_dn) == (
        *("petrov", "Петров", "p@corp"),
        "uid=p",
    )
    assert row.department == "Связь"
    assert row.origin == Origin.DIRECTORY
    assert row.password_hash is None


async def test_without_a_mail_two_people_are_two(staff: Staff) -> None:
    one, two = [await staff.enter(person(name, mail="same@corp")) for name in ("one", "two")]
    three = await staff.enter(person("three"))
    assert len({one.id, two.id, three.id}) == 3


async def test_a_name_that_is_taken_over(staff: Staff, users: Users, db: Database) -> None:
    """A new colleague of an old name sees nothing of the old one's, who keeps the account."""
    old = await staff.enter(person("ivanov"))
    new = await staff.enter(person("ivanov"))
    assert new.id != old.id
    assert (await users.get(new.id)).username == "ivanov"
    assert (await users.get(old.id)).username == f"ivanov~{old.id.hex[-8:]}"
    assert "user_rename" in await actions(db)


async def test_local_and_directory_never_merge(staff: Staff, users: Users) -> None:
    local = await users.add("ivanov", "a local password 1", Role.ADMIN)
    entered = await staff.enter(person("ivanov"))
    assert entered.id != local.id
    assert entered.role == Role.USER
    assert (await users.get(local.id)).role == Role.ADMIN


async def test_first_logins_at_once_are_one_account(staff: Staff) -> None:
    known = person()
    found = await asyncio.gather(*(staff.enter(known) for _ in range(5)))
    assert len({user.id for user in found}) == 1


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        ((ALLOWED,), Role.USER),
        ((REVIEWERS,), Role.REVIEWER),
        ((ADMINS, REVIEWERS, ALLOWED), Role.ADMIN),
    ],
)
async def test_groups_give_roles(groups: tuple[str, ...], role: Role, staff: Staff) -> None:
    assert (await staff.enter(person("ivanov", *groups))).role == role


async def test_everybody_may_enter_where_no_group_is_set(make_staff: Callable[..., Staff]) -> None:
    """And nobody is an administrator for being the first."""
    open_house = make_staff(ldap_allowed_groups=())
    assert (await open_house.enter(person("ivanov", "others"))).role == Role.USER


async def test_who_may_not_enter_is_told_whom_to_ask(make_staff: Callable[..., Staff]) -> None:
    staff = make_staff(ldap_contact="Анна, тел. 123")
    with pytest.raises(Forbidden) as caught:
        await staff.enter(person("outsider", "others"))
    assert "Анна, тел. 123" in caught.value.user_text("ru")


async def test_a_lost_group_takes_its_role_and_no_other(staff: Staff, users: Users) -> None:
    known = person("ivanov", ADMINS)
    user = await staff.enter(known)
    await users.set_role("ivanov", Role.REVIEWER, Origin.DIRECTORY)
    assert (await users.get(user.id)).role == Role.ADMIN
    assert await staff.keep(user, replace(known, groups=frozenset({ALLOWED}))) == ""
    assert (await users.get(user.id)).role == Role.REVIEWER
    await users.set_role("ivanov", Role.USER, Origin.DIRECTORY)
    assert (await users.get(user.id)).role == Role.USER


@pytest.mark.parametrize("why", ["gone", "group", "disabled", "locked", "expired"])
async def test_who_is_shut_out(
    why: str, staff: Staff, users: Users, db: Database, known_sessions: Sessions
) -> None:
    """Every login ends; back in the directory is back here."""
    known = person()
    user = await staff.enter(known)
    token = await known_sessions.start(user, address="", user_agent="")
    now = {
        "gone": None,
        "group": replace(known, groups=frozenset({"others"})),
        "disabled": replace(known, state=AccountState.DISABLED),
        "locked": replace(known, state=AccountState.LOCKED),
        "expired": replace(known, state=AccountState.EXPIRED),
    }[why]
    keys = Keys(db, b"k" * 32)
    _, key = await keys.create(actor_of(user), "nightly batch")
    assert await staff.keep(user, now) == why
    assert await known_sessions.find_actor(token) is None
    assert await keys.find_actor(key) is None
    assert (await users.get(user.id)).disabled_reason == f"directory_{why}"
    assert (await actions(db))[-1] == "user_disable"

    # as another recheck finds it, and as a login
    assert await staff.keep(user, known) == ""
    assert (await actions(db))[-1] == "user_enable"
    assert await keys.find_actor(key) is not None
    assert await known_sessions.find_actor(token) is None
    assert await staff.keep(user, now) == why
    again = await staff.enter(known)
    assert again.id == user.id
    assert again.disabled_at is None
    assert await known_sessions.find_actor(token) is None
    await keys.close()


@pytest.mark.parametrize("reason", ["disabled", "erased", None])
async def test_what_the_directory_did_not_close_it_does_not_open(
    reason: str | None, staff: Staff, users: Users, db: Database
) -> None:
    """Rows as earlier versions wrote them too."""
    known = person()
    user = await staff.enter(known)
    async with db.write() as session:
        await session.execute(
            sa.update(User).values(disabled_at=clock.now(), disabled_reason=reason)
        )
    assert await staff.keep(user, known) == ""
    assert (await users.get(user.id)).disabled_at is not None


async def test_groups_that_are_gone_take_nothing(staff: Staff, users: Users) -> None:
    """Each right stays until the directory says no for the person, group by group."""
    admin, plain = person("admin", ADMINS), person("user")
    user, chief = await staff.enter(plain), await staff.enter(admin)
    everything = frozenset({ALLOWED, REVIEWERS, ADMINS})
    for _ in range(2):
        for account, known in ((user, plain), (chief, admin)):
            lost = replace(known, groups=frozenset(), unknown_groups=everything)
            assert await staff.keep(account, lost) == ""
            assert (await staff.enter(lost)).id == account.id
    assert (await users.get(user.id)).role == Role.USER
    assert (await users.get(chief.id)).role == Role.ADMIN
    # a clear no of one group, while another that never let them in is away
    fired = replace(plain, groups=frozenset(), unknown_groups=frozenset({REVIEWERS}))
    assert await staff.keep(user, fired) == "group"
    assert await staff.keep(user, replace(fired, unknown_groups=everything)) == "group"
    assert await staff.keep(user, plain) == ""
    demoted = replace(admin, groups=frozenset({ALLOWED}), unknown_groups=frozenset({REVIEWERS}))
    assert await staff.keep(chief, demoted) == ""
    assert (await users.get(chief.id)).role == Role.USER
    with pytest.raises(DirectoryUnavailable) as caught:  # nothing to keep, and no clear no
        await staff.enter(person("new", "others", unknown_groups=frozenset({ALLOWED})))
    assert caught.value.code == "groups_unreadable"


async def test_a_group_misspelt_in_the_settings_takes_nothing(
    make_staff: Callable[..., Staff], users: Users
) -> None:
    known = person()
    user = await make_staff().enter(known)
    misspelt = replace(known, groups=frozenset(), unknown_groups=frozenset({"stuff"}))
    assert await make_staff(ldap_allowed_groups=("stuff",)).keep(user, misspelt) == ""
    assert (await users.get(user.id)).role == Role.USER


@pytest.mark.parametrize("state", [AccountState.MUST_CHANGE, AccountState.PASSWORD_EXPIRED])
async def test_a_password_to_be_changed_ends_nothing(state: AccountState, staff: Staff) -> None:
    known = person()
    user = await staff.enter(known)
    assert await staff.keep(user, replace(known, state=state)) == ""


async def test_what_an_administrator_shut_stays_shut(staff: Staff, users: Users) -> None:
    known = person()
    user = await staff.enter(known)
    await staff.keep(user, None)
    await users.disable("ivanov", Origin.DIRECTORY)
    with pytest.raises(NotAuthenticated) as caught:
        await staff.enter(known)
    assert caught.value.detail == "disabled"
    await users.enable("ivanov", Origin.DIRECTORY)
    assert (await staff.enter(known)).id == user.id


@pytest.fixture
def known_sessions(db: Database) -> Sessions:
    return Sessions(db, b"k" * 32, 3600)


async def test_an_odd_name_is_no_hindrance(staff: Staff) -> None:
    known = person("a" * 100)
    user: User = await staff.enter(known)
    assert user.username == known.id
