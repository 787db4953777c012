"""What the directory takes for a while comes back by itself: the whole product over real
directories that lock, rename and hide what they have."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.adapters.directory.client import Directory
from genai_app.db.database import Database
from genai_app.models import AuditEvent, LoginFailures, User
from genai_app.services.accounts.login_failures import FailureCounter
from genai_app.settings.settings import load_settings
from tests.api.test_staff_login import Real, StaffApp, olga, post_token
from tests.api.test_staff_login import staff_app as staff_app  # the fixture
from tests.fakes import samba_ad
from tests.fakes import slapd as openldap
from tests.fakes.api_client import client_of
from tests.fakes.app_process import AppProcess, eventually
from tests.fakes.directory_calls import refusal
from tests.fakes.raw_http import ask, new_address
from tests.fakes.samba_ad import SambaServer
from tests.fakes.slapd import PASSWORD, SlapdServer

pytest_plugins = ("tests.fakes.directory_fixtures",)

WRONG = "no: such key 1"
METRICS = "metrics-of-the-tests-1"
SMIRNOVA = f"dn: uid=smirnova,{openldap.PEOPLE}\nchangetype: modify\n"


async def status_of(app: AppProcess, bearer: str) -> int:
    async with client_of(app, bearer) as client:
        return (await client.get("/me/limits")).status_code


async def becomes(app: AppProcess, bearer: str, status: int) -> None:
    async def is_so() -> bool:
        return await status_of(app, bearer) == status

    await eventually(is_so)


async def key_of(app: AppProcess, token: str) -> str:
    async with client_of(app, token) as client:
        return str((await client.post("/me/keys", json={"name": "nightly"})).json()["key"])


async def metrics_have(app: AppProcess, text: str) -> None:
    async def have() -> bool:
        async with client_of(app, METRICS) as client:
            return text in (await client.get("/metrics")).text

    await eventually(have)


@asynccontextmanager
async def database_of(app: AppProcess) -> AsyncIterator[Database]:
    database = Database(app.database_url)
    try:
        yield database
    finally:
        await database.close()


async def look_ups(app: AppProcess, count: int = 3) -> None:
    """Returns when every account that is watched was looked up so often from now on."""
    async with database_of(app) as database:
        for _ in range(count):
            begun = clock.now()

            async def are_later(begun: datetime = begun) -> bool:
                async with database.read() as session:
                    oldest: datetime | None = await session.scalar(
                        sa.select(sa.func.min(col(User.checked_at)))
                    )
                return oldest is not None and oldest > begun

            await eventually(are_later)


async def events_of(app: AppProcess, action: str) -> list[tuple[str, str, str]]:
    async with database_of(app) as database, database.read() as session:
        rows = await session.scalars(
            sa.select(AuditEvent)
            .where(col(AuditEvent.action) == action)
            .order_by(col(AuditEvent.at))
        )
        return [(row.actor_name, row.target, row.details) for row in rows]


async def lock(server: Real) -> None:
    """As too many wrong passwords lock an account."""
    if isinstance(server, SlapdServer):
        stamp = clock.now().strftime("%Y%m%d%H%M%SZ")
        change = f"{SMIRNOVA}add: pwdAccountLockedTime\npwdAccountLockedTime: {stamp}\n"
        await asyncio.to_thread(server.change, change)
        return
    directory = Directory(load_settings(**server.settings()))
    for _ in range(5):
        await refusal(directory.log_in(olga(server), WRONG))
    assert await refusal(directory.log_in(olga(server), PASSWORD)) == "locked"
    await directory.close()


async def unlock(server: Real) -> None:
    if isinstance(server, SlapdServer):
        change = f"{SMIRNOVA}delete: pwdAccountLockedTime\n"
        await asyncio.to_thread(server.change, change)
    else:
        await asyncio.to_thread(server.change, olga(server), lockoutTime="0")


@asynccontextmanager
async def hidden(server: Real, dn: str, mask: int) -> AsyncIterator[None]:
    """The service account has no rights on an entry (of OpenLDAP: on all below it as well)."""
    if isinstance(server, SambaServer):
        descriptor = await asyncio.to_thread(server.deny_service, dn, mask)
        try:
            yield
        finally:
            await asyncio.to_thread(server.restore_rights, dn, descriptor)
        return
    await asyncio.to_thread(server.deny_service, dn, subtree=True)
    try:
        yield
    finally:
        await asyncio.to_thread(server.restore_rights)


async def test_what_the_directory_takes_comes_back(real: Real, staff_app: StaffApp) -> None:
    """Locked and unlocked; groups renamed and named back; rights of the service account
    taken and given back: sessions, keys and roles."""
    app = staff_app(real, ldap_recheck_s=1, metrics_token=METRICS)
    tokens: dict[str, str] = {}
    for name in ("ivanov", olga(real)):
        tokens[name] = str((await post_token(app, name, PASSWORD))[1]["access_token"])
    keys = {name: await key_of(app, token) for name, token in tokens.items()}
    key, token = keys[olga(real)], tokens[olga(real)]

    await lock(real)
    await becomes(app, key, 401)
    await unlock(real)
    await becomes(app, key, 200)  # nobody logged in for that
    assert await status_of(app, token) == 401
    told = [
        [each for each in await events_of(app, action) if each[1] == olga(real)]
        for action in ("user_disable", "user_enable")
    ]
    assert [len(each) for each in told] == [1, 1]
    assert all(each[0][::2] == ("the directory", "reason=locked") for each in told)

    bearers = (key, keys["ivanov"], tokens["ivanov"])

    async def keep_their_rights(alarm: str, *, login: bool = True) -> None:
        await metrics_have(app, alarm)
        await look_ups(app)
        assert [await status_of(app, each) for each in bearers] == [200, 200, 200]
        async with client_of(app, tokens["ivanov"]) as client:
            assert (await client.get("/me")).json()["role"] == "admin"
        if login:
            assert (await post_token(app, olga(real), PASSWORD))[0] == 200

    both = ("assistant-users", "assistant-admins")
    for name in both:
        await asyncio.to_thread(real.rename_group, name, f"{name}-2")
    try:
        await keep_their_rights('genai_directory_alarms{cause="group_missing"} 2.0')
        status, refused = await post_token(app, "kuznetsov", PASSWORD)  # never was here
        assert (status, refused["error"]["code"]) == (503, "groups_unreadable")  # pyright: ignore
    finally:
        for name in both:
            await asyncio.to_thread(real.rename_group, f"{name}-2", name)
    await metrics_have(app, 'genai_directory_alarms{cause="group_missing"} 0.0')
    assert (await post_token(app, "kuznetsov", PASSWORD))[0] == 200
    alarms = await events_of(app, "directory_alarm")
    assert [each[1:] for each in alarms[-4:]].count(
        ("assistant-users", "reason=group_missing state=begun")
    ) == 1
    assert "directory.alarm_over" in app.log_text()

    groups = samba_ad.GROUPS if isinstance(real, SambaServer) else openldap.GROUPS
    async with hidden(real, groups, 0x4):  # what is in the folder cannot be listed
        await keep_their_rights('genai_directory_alarms{cause="group_missing"} 2.0')
    if isinstance(real, SambaServer):
        name = f"CN=assistant-users,{groups}"
        async with hidden(real, name, 0x10):
            await keep_their_rights('genai_directory_alarms{cause="group_missing"} 1.0')
        folder, alarm = samba_ad.PEOPLE, 'genai_directory_alarms{cause="people_vanished"} 1.0'
    else:
        folder, alarm = openldap.PEOPLE, "genai_directory_up 0.0"
    async with hidden(real, folder, 0x4):
        await metrics_have(app, alarm)
        if isinstance(real, SambaServer):
            await keep_their_rights(alarm, login=False)
        assert [await status_of(app, each) for each in bearers] == [200, 200, 200]
    await metrics_have(app, 'genai_directory_alarms{cause="people_vanished"} 0.0')
    await metrics_have(app, "genai_directory_up 1.0")
    await look_ups(app, 2)
    assert [await status_of(app, each) for each in bearers] == [200, 200, 200]


async def test_one_entry_that_is_hidden_or_deleted(samba: SambaServer, staff_app: StaffApp) -> None:
    """Hidden: an alarm. Moved out of the people's folder: out, and in again when it is back."""
    app = staff_app(samba, ldap_recheck_s=1, metrics_token=METRICS)
    for name in ("ivanov", "kuznetsov", olga(samba)):
        assert (await post_token(app, name, PASSWORD))[0] == 200
    key = await key_of(app, str((await post_token(app, "movable", PASSWORD))[1]["access_token"]))
    async with hidden(samba, f"CN=Зоя Подвижная,{samba_ad.PEOPLE}", 0x10):
        await metrics_have(app, 'genai_directory_alarms{cause="people_unreadable"} 1.0')
        await look_ups(app, 2)
        assert await status_of(app, key) == 200
    await metrics_have(app, 'genai_directory_alarms{cause="people_unreadable"} 0.0')
    await asyncio.to_thread(samba.move, "movable", f"CN=Users,{samba_ad.DOMAIN}")
    try:
        await becomes(app, key, 401)
    finally:
        await asyncio.to_thread(samba.move, "movable", samba_ad.PEOPLE)
    await becomes(app, key, 200)


async def pass_s(app: AppProcess, seconds: int) -> None:
    """Makes the wrong passwords that were counted so much older."""
    async with database_of(app) as database, database.write() as session:
        for row in await session.scalars(sa.select(LoginFailures)):
            for name in ("known_at", "strangers_at", "chain_at", "unlocked_until"):
                if (moment := getattr(row, name)) is not None:
                    setattr(row, name, moment - timedelta(seconds=seconds))


async def test_no_form_of_a_name_locks_an_account(samba: SambaServer, staff_app: StaffApp) -> None:
    """Tries count by the entry, with those made elsewhere; the wait is told; an
    administrator lifts it; the audit names who was found."""
    app = staff_app(samba)
    admin = str((await post_token(app, "ivanov", PASSWORD))[1]["access_token"])
    await asyncio.to_thread(samba.change, "osmirnova", mail="o.smirnova@corp.example")
    try:
        forms = ("osmirnova", "olga@corp.test", "O.Smirnova@corp.example", "CORP/osmirnova")
        tries = [await post_token(app, name, WRONG, new_address()) for name in forms * 2]
        assert [status for status, _ in tries] == [401] * 2 + [429] * 6
        error: dict[str, str] = tries[2][1]["error"]  # pyright: ignore
        assert error["message"].startswith("Слишком много неудачных попыток входа. Следующая")
        assert error["message"].rstrip(".")[-4:] in ("60 с", "59 с", "58 с", "57 с")

        body = urlencode({"username": forms[0], "password": WRONG}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded", "origin": app.url}
        page = await ask(app, "POST", "/login", headers, body)
        assert re.fullmatch(r"/login\?error=too_many_logins&wait=[56]\d", page.header("location"))

        await pass_s(app, 61)
        assert (await post_token(app, forms[1], WRONG, new_address()))[0] == 401
        await pass_s(app, 600)
        status, told = await post_token(app, forms[0], PASSWORD, new_address())
        assert status == 429
        assert " мин." in told["error"]["message"]  # pyright: ignore
        assert await asyncio.to_thread(samba.wrong_tries, "osmirnova") == 3

        refused = await events_of(app, "login")
        entry = await asyncio.to_thread(samba.id_of, "osmirnova")
        assert ("osmirnova", "", f"reason=wrong_password code=52e entry={entry}") in refused
        # nobody here has an account yet: the list of people has none to unlock
        async with client_of(app, admin) as client:
            people = (await client.get("/admin/api/users")).json()["items"]
            assert "osmirnova" not in {each["username"] for each in people}
        async with database_of(app) as database:
            await FailureCounter(database).unlock("osmirnova", by="command line")
        assert (await post_token(app, forms[0], PASSWORD, new_address()))[0] == 200

        # two wrong ones, then a button
        await pass_s(app, 900)
        for _ in range(2):
            assert (await post_token(app, forms[2], WRONG, new_address()))[0] == 401
        assert (await post_token(app, forms[2], PASSWORD, new_address()))[0] == 429
        async with client_of(app, admin) as client:
            people = (await client.get("/admin/api/users")).json()["items"]
            (found,) = [each["id"] for each in people if each["username"] == "osmirnova"]
            assert (await client.post(f"/admin/api/users/{found}/unlock")).status_code == 204
        status, told = await post_token(app, forms[2], PASSWORD, new_address())
        assert status == 200
        async with client_of(app, str(told["access_token"])) as client:
            assert (await client.post(f"/admin/api/users/{found}/unlock")).status_code == 403
        unlocked = [each[:2] for each in await events_of(app, "user_unlock")]
        assert unlocked == [("command line", "osmirnova"), ("ivanov", "osmirnova")]
    finally:
        await asyncio.to_thread(samba.change, "osmirnova", mail="o@corp.test", lockoutTime="0")


async def test_a_right_password_is_told_why_it_does_not_help(
    samba: SambaServer, staff_app: StaffApp
) -> None:
    """In words, with the code in the audit; and no try is used up."""
    app = staff_app(samba)
    reasons = {"newcomer": "must_change", "night": "logon_hours", "desk": "workstation"}
    codes = {"newcomer": "773", "night": "530", "desk": "531"}
    for login, reason in reasons.items():
        for _ in range(4):
            status, told = await post_token(app, login, PASSWORD, new_address())
            assert (status, told["error"]["code"]) == (403, f"account_{reason}")  # pyright: ignore
        status, told = await post_token(app, login, WRONG, new_address())
        assert (status, told["error"]["code"]) == (401, "wrong_credentials")  # pyright: ignore
        entry = await asyncio.to_thread(samba.id_of, login)
        row = (login, "", f"reason={reason} code={codes[login]} entry={entry}")
        assert (await events_of(app, "login")).count(row) == 4
