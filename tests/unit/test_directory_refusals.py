"""What a login sends, to the byte, and what it must not send; at a scripted server."""

import asyncio
import dataclasses
import socket
from typing import Any

import pytest
import structlog

from genai_app.errors import Forbidden
from tests import corpora
from tests.fakes.directory_calls import (
    MakeDirectory,
    MakeLdapServer,
    failure,
    refusal,
    stated_refusal,
)
from tests.fakes.ldap_server import PASSWORD, PEOPLE, SERVICE_DN, LdapServer, Result

pytest_plugins = ("tests.fakes.directory_fixtures",)

POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"
AD_TEXT = "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {}, v1db1"


@pytest.mark.parametrize("password", ["", " ", "   ", "\t", "\n", "\u00a0", "\u2003 "])
async def test_a_blank_password_never_leaves(
    password: str, ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """An empty one is an anonymous bind, which this server accepts, as Windows does."""
    ldap_server.accepts_empty_passwords = True

    assert await refusal(make_directory(ldap_server).log_in("ivanov", password)) == "blank_password"
    assert ldap_server.connections == 0


@pytest.mark.parametrize("password", ["\0", "a\0b", f"{PASSWORD}\0", "\ud800", "a\udfff"])
async def test_what_is_no_password_never_leaves(
    password: str, ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """Servers in C would read only what stands before the NUL."""
    assert await refusal(make_directory(ldap_server).log_in("ivanov", password)) == "wrong_password"
    assert ldap_server.connections == 0


@pytest.mark.parametrize(
    "password",
    [
        *("\u200b", "\u00ad", "a\u00adb", "\ufb01", "שלוםabc", "\u00a0x", " padded ", "x\u0301"),
        *("\uff21", "Ключ: от сейфа 8", "*)(uid=*", "a" * 2000, "\U0001f511", "\x7f", "\ufeff!"),
    ],
    ids=ascii,
)
async def test_a_password_travels_byte_for_byte(
    password: str, ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """Ldap3 would rewrite most of these, or raise; the directory has them as they were set."""
    ivanov = ldap_server.people.pop()
    ldap_server.people.append(dataclasses.replace(ivanov, password=password.encode()))
    directory = make_directory(ldap_server)

    await directory.log_in("ivanov", password)

    (bind,) = ldap_server.user_binds
    assert (bind.dn, bind.password) == (ivanov.dn, password.encode())
    assert await refusal(directory.log_in("ivanov", f"{password}\u200b")) == "wrong_password"


async def test_the_service_account_s_password_too(
    ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    directory = make_directory(ldap_server, ldap_bind_password="se\u00adcret \ufb01")

    assert (await failure(directory.log_in("ivanov", PASSWORD))).startswith("service_account: ")
    assert [bind.password for bind in ldap_server.binds] == ["se\u00adcret \ufb01".encode()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("*", "\\2a"),
        ("*)(uid=*", "\\2a\\29\\28uid\\3d\\2a"),
        ("admin)(|(objectClass=*", "admin\\29\\28\\7c\\28objectClass\\3d\\2a"),
        ("a\\2a", "\\32a"),
        ("и", "\\d0\\b8"),
        ("o'brien smith", "o\\27brien\\20smith"),
    ],
)
async def test_a_name_in_the_filter(
    name: str, value: str, ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """A backslash separates a domain."""
    value = value.replace("\\32a", "2a")

    assert await refusal(make_directory(ldap_server).log_in(name, PASSWORD)) == "unknown_user"
    (search,) = ldap_server.searches
    assert search.criteria == (f"(&(|(objectClass=person)(objectClass=posixAccount))(uid={value}))")


async def test_filters_at_active_directory(
    start_ldap: MakeLdapServer, make_directory: MakeDirectory
) -> None:
    """A bare name is no UPN, one with an @ may be."""
    server = start_ldap(ad=True)
    server.add("ivanov")
    directory = make_directory(server)

    for name in ("CORP\\ivanov", "ivanov@fake.test"):
        await directory.log_in(name, PASSWORD)

    assert [each.criteria for each in server.searches if each.base == PEOPLE] == [
        "(&(objectCategory=person)(objectClass=user)(sAMAccountName=ivanov))",
        "(&(objectCategory=person)(objectClass=user)"
        "(|(sAMAccountName=ivanov)(userPrincipalName=ivanov\\40fake\\2etest)"
        "(mail=ivanov\\40fake\\2etest)))",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("", "   ", "CORP\\", "\\", "a\0", "a\u200bb", "a\u202eb", "\ufeffa", "a\nb", "a\x7f"),
        *("a" * 257, "\ud800", "a\u2028b"),
    ],
    ids=ascii,
)
async def test_a_name_that_nobody_has_never_leaves(
    name: str, ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    assert await refusal(make_directory(ldap_server).log_in(name, PASSWORD)) == "bad_name"
    assert ldap_server.connections == 0


async def test_strange_text_is_only_a_wrong_name(
    ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """Whatever is typed, the answer is a refusal."""
    directory = make_directory(ldap_server)
    for text in corpora.load("unicode"):
        assert await refusal(directory.log_in(text, PASSWORD)) in ("unknown_user", "bad_name")
        assert await refusal(directory.log_in("ivanov", text)) in (
            *("wrong_password", "blank_password"),
        )


async def test_two_entries_are_nobody(
    ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    ldap_server.add("ivanov", cn="Another")

    with structlog.testing.capture_logs() as events:
        reason = await refusal(make_directory(ldap_server).log_in("ivanov", PASSWORD))

    assert reason == "two_entries"
    (event,) = [each for each in events if each["event"] == "directory.two_entries"]
    assert event["dns"] == [person.dn for person in ldap_server.people]
    assert {person.dn for person in ldap_server.people}.isdisjoint(
        bind.dn for bind in ldap_server.user_binds
    )


async def test_of_two_a_upn_in_full_names_one(
    start_ldap: MakeLdapServer, make_directory: MakeDirectory
) -> None:
    """Petrova@fake.test is one person's UPN and looks like another one's login."""
    server = start_ldap(ad=True)
    server.add("petrova", userPrincipalName="older@fake.test")
    server.add("apetrova", userPrincipalName="petrova@fake.test")
    directory = make_directory(server)

    assert (await directory.log_in("petrova@fake.test", PASSWORD)).username == "apetrova"
    assert (await directory.log_in("petrova", PASSWORD)).username == "petrova"


async def test_unknown_and_wrong_look_alike(
    ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """The same connections, searches and binds; a stranger's password goes to no account."""
    directory = make_directory(ldap_server)

    assert await refusal(directory.log_in("ivanov", "no: such key 1")) == "wrong_password"
    wrong = (ldap_server.connections, len(ldap_server.searches), len(ldap_server.binds))
    assert await refusal(directory.log_in("nobody", "no: such key 1")) == "unknown_user"

    assert (ldap_server.connections, len(ldap_server.searches), len(ldap_server.binds)) == tuple(
        2 * count for count in wrong
    )
    bind = ldap_server.user_binds[-1]
    assert bind.dn.endswith(f",{PEOPLE}")
    assert b"no: such key" not in bind.password


async def test_a_server_that_lets_everybody_in(
    ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """Whoever is not found is nobody, whatever is said to the bind that follows."""
    ldap_server.steps["user bind"] = Result(0)

    assert await refusal(make_directory(ldap_server).log_in("nobody", PASSWORD)) == "unknown_user"


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Result(49), "wrong_password"),
        (Result(49, AD_TEXT.format("525")), "unknown_user"),
        (Result(49, AD_TEXT.format("52e")), "wrong_password"),
        (Result(49, AD_TEXT.format("775")), "locked"),
        (Result(49, AD_TEXT.format("57")), "wrong_password"),
        (Result(49, control=(POLICY, b"\x30\x03\x81\x01\x01")), "locked"),
        (Result(49, control=(POLICY, b"\x30\x84")), "wrong_password"),
        (Result(19, "Exceed password retry limit. Please try later."), "locked"),
        (Result(53, "Account inactivated. Contact system administrator."), "disabled"),
        (Result(48), "wrong_password"),
    ],
    ids=str,
)
async def test_what_a_refused_bind_means(
    step: Result, reason: str, ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    ldap_server.steps["user bind"] = step

    assert await refusal(make_directory(ldap_server).log_in("ivanov", PASSWORD)) == reason


@pytest.mark.parametrize(
    ("step", "reason", "data"),
    [
        (Result(49, AD_TEXT.format("530")), "logon_hours", "530"),
        (Result(49, AD_TEXT.format("531")), "workstation", "531"),
        (Result(49, AD_TEXT.format("532")), "password_expired", "532"),
        (Result(49, AD_TEXT.format("533")), "disabled", "533"),
        (Result(49, AD_TEXT.format("701")), "expired", "701"),
        (Result(49, AD_TEXT.format("773")), "must_change", "773"),
        (Result(49, control=(POLICY, b"\x30\x03\x81\x01\x00")), "password_expired", ""),
        (Result(0, control=(POLICY, b"\x30\x03\x81\x01\x02")), "must_change", ""),
        (Result(49, "password expired!"), "password_expired", ""),
    ],
    ids=str,
)
async def test_what_is_said_to_the_right_password_only(
    step: Result,
    reason: str,
    data: str,
    ldap_server: LdapServer,
    make_directory: MakeDirectory,
) -> None:
    """The user reads it; the code is for the audit."""
    ldap_server.steps["user bind"] = step

    with pytest.raises(Forbidden) as caught:
        await make_directory(ldap_server).log_in("ivanov", PASSWORD)
    assert (caught.value.detail, caught.value.params["directory_code"]) == (reason, data)
    assert caught.value.user_text("ru").startswith("Пароль верный")


@pytest.mark.parametrize("code", [1, 2, 3, 8, 10, 11, 13, 19, 50, 53, 80])
async def test_other_results_of_a_bind_are_no_wrong_password(
    code: int, ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    ldap_server.steps["user bind"] = Result(code)

    detail = await failure(make_directory(ldap_server).log_in("ivanov", PASSWORD))

    assert detail.startswith(f"bind: {code}")


@pytest.mark.parametrize("code", [1, 3, 4, 10, 11, 32, 50, 53, 80])
async def test_results_of_a_search_are_no_unknown_user(
    code: int, ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """Neither for a login nor for a recheck."""
    ldap_server.steps["search"] = Result(code)
    directory = make_directory(ldap_server)

    assert (await failure(directory.log_in("ivanov", PASSWORD))).startswith("user_base: ")
    assert (await failure(directory.find("an-id"))).startswith("user_base: ")


async def test_no_referral_is_followed(
    ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """ldap3 would take the service account's password to that host, in clear text."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        url = f"ldap://127.0.0.1:{trap.getsockname()[1]}/{PEOPLE}"
        ldap_server.references.append(url)
        directory = make_directory(ldap_server)

        assert (await directory.log_in("ivanov", PASSWORD)).username == "ivanov"
        assert await refusal(directory.log_in("nobody", PASSWORD)) == "unknown_user"
        for operation in ("search", "user bind", "bind"):
            ldap_server.steps = {operation: Result(10, "elsewhere", referral=url)}
            await failure(directory.log_in("ivanov", PASSWORD))

        with pytest.raises(BlockingIOError):
            trap.accept()


async def test_an_entry_without_an_id_is_no_person(
    ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """A DN changes, a login is given to a successor."""
    del ldap_server.people[0].attributes["entryUUID"]

    detail = await failure(make_directory(ldap_server).log_in("ivanov", PASSWORD))

    assert detail.startswith("no_id")


async def test_ids_of_other_servers(
    start_ldap: MakeLdapServer, make_directory: MakeDirectory
) -> None:
    """389 Directory Server and FreeIPA: an update that adds entryUUID changes nobody's id."""
    server = start_ldap()
    server.add("old", nsUniqueId="0C11-EE", entryUUID="")
    server.add("ipa", ipaUniqueID="11-22", nsUniqueId="33-44")
    directory = make_directory(server)

    for name, identity in (("old", "0c11-ee"), ("ipa", "11-22")):
        person = await directory.log_in(name, PASSWORD)
        assert person.id == identity
        assert await directory.find(identity) == person


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"nsAccountLock": "TRUE"}, "disabled"),
        ({"shadowExpire": "1"}, "expired"),
        ({"krbPrincipalExpiration": "20200101000000Z"}, "expired"),
        ({"pwdReset": "TRUE"}, "must_change"),
    ],
)
async def test_states_that_a_server_may_leave_to_us(
    attributes: dict[str, Any],
    reason: str,
    start_ldap: MakeLdapServer,
    make_directory: MakeDirectory,
) -> None:
    """The bind succeeds, the entry says no."""
    server = start_ldap()
    server.add("ivanov", **attributes)

    directory = make_directory(server)
    assert await stated_refusal(directory.log_in("ivanov", PASSWORD)) == reason
    assert "password" in await refusal(directory.log_in("ivanov", "no: such key 1")) or (
        reason == "disabled"
    )


async def test_no_password_and_no_name_in_the_log(
    ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    directory = make_directory(ldap_server)
    ldap_server.add("ivanov", cn="Another")
    with structlog.testing.capture_logs() as events:
        for name, password in (("ivanov", PASSWORD), ("canary-name", "canary-password")):
            await refusal(directory.log_in(name, password))
        ldap_server.steps["bind"] = Result(49)
        await failure(directory.log_in("canary-name", "canary-password"))

    assert "directory.service_account_refused" in str(events)
    for secret in (PASSWORD, "canary", "reads only"):
        assert secret not in str(events)


async def test_one_service_bind_a_call(
    ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """What the lock-out of the directory, and its load, count."""
    directory = make_directory(ldap_server)

    await asyncio.gather(*(directory.log_in("ivanov", PASSWORD) for _ in range(20)))

    assert len(ldap_server.user_binds) == 20
    assert len([bind for bind in ldap_server.binds if bind.dn == SERVICE_DN]) == 20
