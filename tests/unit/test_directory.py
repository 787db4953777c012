"""Logins and lookups at real directories: OpenLDAP, and Samba's Active Directory."""

import asyncio
import uuid

import pytest
import structlog

from genai_app.adapters.directory.client import AccountState
from tests.fakes import samba_ad
from tests.fakes import slapd as openldap
from tests.fakes.directory_calls import MakeDirectory, failure, refusal, stated_refusal
from tests.fakes.samba_ad import SambaServer
from tests.fakes.slapd import PASSWORD, SlapdServer

pytest_plugins = ("tests.fakes.directory_fixtures",)

Real = SlapdServer | SambaServer


async def test_a_person_and_who_it_is(real: Real, make_directory: MakeDirectory) -> None:
    directory = make_directory(real)

    person = await directory.log_in("ivanov", PASSWORD)

    assert str(uuid.UUID(person.id)) == person.id
    assert person.username == "ivanov"
    assert person.full_name == "Иванов Пётр Ильич"
    assert person.groups == {"assistant-users", "assistant-admins"}
    assert person.state is AccountState.ACTIVE
    assert await directory.find(person.id) == person
    assert await directory.find(person.id, person.dn) == person


@pytest.mark.parametrize("url", ["ldaps_url", "start_tls_url"])
async def test_both_ways_of_encryption(
    url: str, slapd: SlapdServer, make_directory: MakeDirectory
) -> None:
    """slapd refuses a password in clear text by itself."""
    directory = make_directory(slapd, ldap_urls=(getattr(slapd, url),), ldap_start_tls=True)

    assert (await directory.log_in("ivanov", PASSWORD)).username == "ivanov"


async def test_start_tls_of_active_directory(
    samba: SambaServer, make_directory: MakeDirectory
) -> None:
    directory = make_directory(samba, ldap_urls=(samba.start_tls_url,), ldap_start_tls=True)

    assert (await directory.log_in("ivanov", PASSWORD)).username == "ivanov"


@pytest.mark.parametrize(
    "name",
    [
        "IVANOV",
        "Ivanov",
        " ivanov ",
        "ivanov\t",
        "CORP\\ivanov",
        "corp\\IVANOV",
        "CORP/ivanov",
        "ivanov@corp.test",
        "\uff29\uff56\uff41\uff4e\uff4f\uff56",
    ],
)
async def test_one_account_however_its_name_is_written(
    name: str, real: Real, make_directory: MakeDirectory
) -> None:
    directory = make_directory(real)

    assert await directory.log_in(name, PASSWORD) == await directory.log_in("ivanov", PASSWORD)


async def test_a_upn_that_is_not_the_login(
    samba: SambaServer, make_directory: MakeDirectory
) -> None:
    """Olga@corp.test logs in at Windows; her sAMAccountName is osmirnova."""
    directory = make_directory(samba)

    person = await directory.log_in("Olga@corp.test", PASSWORD)

    assert person.username == "osmirnova"
    assert person == await directory.log_in("osmirnova", PASSWORD)


@pytest.mark.parametrize(
    "name",
    [
        "*",
        "iv*",
        "*)(uid=*",
        "admin)(|(objectClass=*",
        "\\2a",
        "ivanov)(&",
        "ivanov\\00",
        "(ivanov)",
    ],
)
async def test_nothing_in_a_name_is_a_filter(
    name: str, real: Real, make_directory: MakeDirectory
) -> None:
    """Against servers that would obey."""
    assert await refusal(make_directory(real).log_in(name, PASSWORD)) == "unknown_user"


async def test_an_own_filter(real: Real, make_directory: MakeDirectory) -> None:
    """By another attribute, with a condition, the name in two places."""
    criteria = "(&(|(cn={username})(sn={username}))(!(cn=Роман*)))"
    directory = make_directory(real, ldap_user_filter=criteria)

    kuznetsov = await directory.log_in("Илья Кузнецов (мл.)", PASSWORD)
    assert kuznetsov.username == "kuznetsov"
    assert await directory.find(kuznetsov.id) == kuznetsov
    assert await refusal(directory.log_in("*", PASSWORD)) == "unknown_user"
    outsider = await make_directory(real).log_in("outsider", PASSWORD)
    assert await refusal(directory.log_in("Роман Сторонний", PASSWORD)) == "unknown_user"
    assert await directory.find(outsider.id) is None


async def test_mail_is_a_login_and_no_identity(real: Real, make_directory: MakeDirectory) -> None:
    """Two share one address: it is nobody's login. One person's own is hers."""
    directory = make_directory(real)
    second = "smirnova" if isinstance(real, SlapdServer) else "osmirnova"

    ivanov, other = [await directory.log_in(name, PASSWORD) for name in ("ivanov", second)]

    assert ivanov.mail == other.mail != ""
    assert ivanov.id != other.id
    assert await refusal(directory.log_in(ivanov.mail, PASSWORD)) == "two_entries"
    await asyncio.to_thread(real.set_mail, "li", "Maria.Li@corp.example")
    try:
        li = await directory.log_in("maria.li@CORP.example", PASSWORD)
        assert li.username == "li"
        assert await refusal(directory.log_in("maria@corp.example", PASSWORD)) == "unknown_user"
    finally:
        await asyncio.to_thread(real.set_mail, "li", "")


async def test_wrong_password_and_unknown_name(real: Real, make_directory: MakeDirectory) -> None:
    """The same for the user, told apart in the log."""
    directory = make_directory(real)

    assert await refusal(directory.log_in("outsider", "no: such key 1")) == "wrong_password"
    assert await refusal(directory.log_in("nobody", PASSWORD)) == "unknown_user"


@pytest.mark.parametrize("name", ["disabled", "locked", "must_change", "expired"])
async def test_accounts_of_openldap_that_may_not(
    name: str, slapd: SlapdServer, make_directory: MakeDirectory
) -> None:
    """The right password; `must_change` is a success with a note for slapd, `expired` is
    nothing to it at all."""
    login = "newcomer" if name == "must_change" else name
    directory = make_directory(slapd)
    proven = name in ("must_change", "expired")  # after a bind that succeeds

    said = await (stated_refusal if proven else refusal)(directory.log_in(login, PASSWORD))
    assert said == name
    wrong = await refusal(directory.log_in(login, "no: such key 1"))
    assert wrong == ("wrong_password" if proven else name)


@pytest.mark.parametrize(
    ("login", "reason"),
    [
        ("disabled", "disabled"),
        ("expired", "expired"),
        ("newcomer", "must_change"),
        ("night", "logon_hours"),
        ("desk", "workstation"),
        ("oldpassword", "password_expired"),
    ],
)
async def test_accounts_of_active_directory_that_may_not(
    login: str, reason: str, samba: SambaServer, make_directory: MakeDirectory
) -> None:
    """Said to the right password; to a wrong one nothing but that it is wrong."""
    directory = make_directory(samba)
    assert await stated_refusal(directory.log_in(login, PASSWORD)) == reason
    assert await refusal(directory.log_in(login, "no: such key 1")) == "wrong_password"


async def test_too_many_wrong_passwords(samba: SambaServer, make_directory: MakeDirectory) -> None:
    """Locked by the directory's own policy; the right password helps no more."""
    directory = make_directory(samba)
    person = await directory.log_in("locked", PASSWORD)
    try:
        for _ in range(5):
            assert await refusal(directory.log_in("locked", "no: such key 1")) == "wrong_password"

        assert await refusal(directory.log_in("locked", PASSWORD)) == "locked"
        found = await directory.find(person.id)
        assert found is not None
        assert found.state is AccountState.LOCKED
    finally:
        samba.change("locked", lockoutTime="0")
    assert await directory.find(person.id) == person


BOTH_HAVE = {
    "disabled": AccountState.DISABLED,
    "newcomer": AccountState.MUST_CHANGE,
    "expired": AccountState.EXPIRED,
}
# Samba's lock is a test of its own, above
STATES = (
    *(("slapd", *each) for each in BOTH_HAVE.items()),
    *(("samba", *each) for each in BOTH_HAVE.items()),
    ("slapd", "locked", AccountState.LOCKED),
    ("samba", "oldpassword", AccountState.PASSWORD_EXPIRED),
    ("samba", "night", AccountState.ACTIVE),
)


@pytest.mark.parametrize(("server", "login", "state"), STATES)
async def test_state_without_a_password(
    server: str,
    login: str,
    state: AccountState,
    request: pytest.FixtureRequest,
    make_directory: MakeDirectory,
) -> None:
    """What a recheck sees. Logon hours are told by a bind only."""
    real: Real = request.getfixturevalue(server)
    found = await make_directory(real).find(_id_of(real, login))

    assert found is not None
    assert found.state is state


async def test_nested_groups(real: Real, make_directory: MakeDirectory) -> None:
    """Direct, through two groups with awkward names, in a circle, in none."""
    group = "CN=assistant-users, " + (
        samba_ad.GROUPS.lower() if isinstance(real, SambaServer) else openldap.GROUPS.upper()
    )
    directory = make_directory(
        real, ldap_allowed_groups=(group,), ldap_reviewer_groups=("ring-b", "no-such-group")
    )
    nested = "smirnova" if isinstance(real, SlapdServer) else "osmirnova"

    assert (await directory.log_in(nested, PASSWORD)).groups == {group}
    assert (await directory.log_in("kuznetsov", PASSWORD)).groups == {group, "ring-b"}
    assert (await directory.log_in("outsider", PASSWORD)).groups == set()


async def test_groups_of_unix_accounts(slapd: SlapdServer, make_directory: MakeDirectory) -> None:
    """By memberUid, and the primary group by its number."""
    directory = make_directory(slapd, ldap_reviewer_groups=("unix-users", "unix-guests"))

    person = await directory.log_in("unix", PASSWORD)

    assert person.groups == {"unix-users", "unix-guests"}


async def test_primary_group_and_mailing_lists(
    samba: SambaServer, make_directory: MakeDirectory
) -> None:
    """MemberOf leaves the primary group out, tokenGroups leaves mailing lists out."""
    directory = make_directory(samba, ldap_reviewer_groups=("crew", "assistant-post"))

    primary = await directory.log_in("primary", PASSWORD)
    li = await directory.log_in("li", PASSWORD)

    assert primary.groups == {"crew", "assistant-users", "assistant-post"}
    assert li.groups == {"assistant-post"}


async def test_an_ambiguous_group_name_means_nobody(
    slapd: SlapdServer, make_directory: MakeDirectory
) -> None:
    """Else who may make a group somewhere makes administrators."""
    slapd.change(
        f"dn: cn=assistant-admins,ou=other,{openldap.SUFFIX}\nobjectClass: groupOfNames\n"
        f"cn: assistant-admins\nmember: uid=outsider,{openldap.PEOPLE}\n"
    )
    try:
        with structlog.testing.capture_logs() as events:
            outsider = await make_directory(slapd).log_in("outsider", PASSWORD)
        narrow = make_directory(slapd, ldap_group_base=openldap.GROUPS)
        ivanov = await narrow.log_in("ivanov", PASSWORD)
    finally:
        slapd.change(f"dn: cn=assistant-admins,ou=other,{openldap.SUFFIX}\nchangetype: delete\n")
    assert outsider.groups == set()
    assert "directory.group_ambiguous" in [event["event"] for event in events]
    assert "assistant-admins" in ivanov.groups


async def test_awkward_dns(slapd: SlapdServer, make_directory: MakeDirectory) -> None:
    """A comma, an asterisk, quotes and parentheses in a DN are parts of a name."""
    directory = make_directory(slapd)

    li = await directory.log_in("li", PASSWORD)

    assert li.full_name == "Ли, Мария * «Маша»"
    assert li.groups == {"assistant-users"}
    assert await directory.find(li.id, li.dn) == li


async def test_outside_the_base(slapd: SlapdServer, make_directory: MakeDirectory) -> None:
    """petrova has an account elsewhere; ou=abroad is only a reference to another server."""
    assert await refusal(make_directory(slapd).log_in("petrova", PASSWORD)) == "unknown_user"
    petrova = _id_of(slapd, "petrova", base=openldap.SUFFIX)
    assert await make_directory(slapd).find(petrova) is None
    hint = f"uid=petrova,ou=other,{openldap.SUFFIX}"
    assert await make_directory(slapd).find(petrova, hint) is None


async def test_a_recheck_sees_what_became_of_a_person(
    samba: SambaServer, make_directory: MakeDirectory
) -> None:
    """Disabled, out of the group, renamed, moved away; the id stays."""
    directory = make_directory(samba)
    before = await directory.log_in("movable", PASSWORD)

    samba.disable("movable")
    found = await directory.find(before.id, before.dn)
    assert found is not None
    assert found.state is AccountState.DISABLED

    samba.enable("movable")
    samba.set_groups("movable", ["assistant-admins"])
    found = await directory.find(before.id, before.dn)
    assert found is not None
    assert (found.state, found.groups) == (AccountState.ACTIVE, {"assistant-admins"})

    samba.rename("movable", new_login="married", new_cn="Зоя Замужняя")
    renamed = await directory.log_in("married", PASSWORD)
    assert renamed.id == before.id
    assert renamed.dn != before.dn
    assert await directory.find(before.id, before.dn) == renamed
    assert await refusal(directory.log_in("movable", PASSWORD)) == "unknown_user"

    samba.move("married", f"CN=Users,{samba_ad.DOMAIN}")
    assert await directory.find(before.id, renamed.dn) is None
    samba.move("married", samba_ad.PEOPLE)
    samba.rename("married", new_login="movable", new_cn="Зоя Подвижная")
    samba.set_groups("movable", ["assistant-users"])
    assert await directory.find(before.id) == before


async def test_ids_of_nobody(real: Real, make_directory: MakeDirectory) -> None:
    directory = make_directory(real)

    assert await directory.find(str(uuid.uuid4())) is None
    assert await directory.find("*") is None
    assert await directory.find("no id at all)(uid=ivanov", "not,a=dn\\") is None


@pytest.mark.parametrize(
    ("cause", "settings"),
    [
        ("service_account", {"ldap_bind_password": "not: the service's 0"}),
        ("user_base", {"ldap_user_base": "ou=nowhere,dc=corp,dc=test"}),
        ("filter", {"ldap_user_filter": "(&(a=b)c={username})"}),
    ],
)
async def test_what_is_set_wrong_is_nobodys_password(
    cause: str, settings: dict[str, str], real: Real, make_directory: MakeDirectory
) -> None:
    detail = await failure(make_directory(real, **settings).log_in("ivanov", PASSWORD))

    assert detail.startswith(f"{cause}: ")


async def test_without_a_base_of_groups_nothing_is_known(
    real: Real, make_directory: MakeDirectory
) -> None:
    """The password is checked; whose groups these are nobody can tell."""
    directory = make_directory(real, ldap_group_base="ou=nowhere,dc=corp,dc=test")
    person = await directory.log_in("ivanov", PASSWORD)
    assert (person.groups, person.unknown_groups) == (
        frozenset(),
        {"assistant-users", "assistant-admins"},
    )


async def test_a_restart_between_two_logins(
    slapd: SlapdServer, make_directory: MakeDirectory
) -> None:
    """No connection is kept, so none is stale."""
    directory = make_directory(slapd)
    await directory.log_in("ivanov", PASSWORD)
    slapd.stop()
    try:
        assert (await failure(directory.log_in("ivanov", PASSWORD))) == "refused"
    finally:
        slapd.start()

    assert (await directory.log_in("ivanov", PASSWORD)).username == "ivanov"


def _id_of(real: Real, login: str, *, base: str = "") -> str:
    """The id of an account that cannot log in, as the administrator sees it."""
    if isinstance(real, SlapdServer):
        return real.look_up(base or openldap.PEOPLE, f"(uid={login})", "entryUUID")
    return real.id_of(login)
