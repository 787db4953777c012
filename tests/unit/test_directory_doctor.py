"""The check of the directory, against directories with planted faults: which step, which cause."""

import datetime as dt
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from genai_app.adapters.directory.check.steps import DirectoryCause, Fact, Step, StepName
from genai_app.adapters.findings import CheckOutcome
from genai_app.services.doctor.directory import check, facts_of, name_of, sentences_of
from genai_app.settings.settings import load_settings
from tests.fakes import samba_ad
from tests.fakes import slapd as openldap
from tests.fakes.certificates import Authority, Certificate
from tests.fakes.directory_calls import MakeLdapServer
from tests.fakes.ldap_server import BlackHole, Hang, LdapServer, Raw, Result
from tests.fakes.samba_ad import SambaServer
from tests.fakes.services import free_port
from tests.fakes.slapd import SlapdServer

pytest_plugins = ("tests.fakes.directory_fixtures",)

Real = SlapdServer | SambaServer
DAY = dt.timedelta(days=1)


async def examined(server: Real | LdapServer, username: str = "", **overrides: Any) -> list[Step]:
    settings = load_settings(**server.settings(**overrides))
    async with aclosing(check(settings, username)) as steps:
        return [step async for step in steps]


def failures(steps: list[Step]) -> list[tuple[StepName, DirectoryCause | None]]:
    return [(step.name, step.cause) for step in steps if step.outcome is CheckOutcome.FAILED]


def warnings(steps: list[Step]) -> list[tuple[StepName, DirectoryCause | None]]:
    return [(step.name, step.cause) for step in steps if step.outcome is CheckOutcome.WARNING]


def step_of(steps: list[Step], name: StepName) -> Step:
    (step,) = [step for step in steps if step.name is name]
    return step


@pytest.fixture(autouse=True)
def away_from_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("start_tls", [False, True])
async def test_all_well(real: Real, start_tls: bool) -> None:
    """A user who is in the allowed group through two others."""
    ad = isinstance(real, SambaServer)
    login, between = (
        ("osmirnova", "Торговля (опт)") if ad else ("smirnova", "Торговля (все, и опт)")
    )
    urls = {"ldap_urls": (real.start_tls_url,), "ldap_start_tls": True} if start_tls else {}

    steps = await examined(real, login, **urls)

    assert failures(steps) == []
    assert [step for step in steps if step.outcome is CheckOutcome.SKIPPED] == []
    encryption = StepName.START_TLS if start_tls else StepName.TLS
    other = StepName.TLS if start_tls else StepName.START_TLS
    assert [step.name for step in steps] == [each for each in StepName if each is not other]
    tls = step_of(steps, encryption).facts
    assert tls[Fact.TLS_VERSION] == "TLSv1.3"
    assert tls[Fact.ISSUER] == "CN=Authority of the tests"
    root = step_of(steps, StepName.ROOT_DSE).facts
    assert root[Fact.ACTIVE_DIRECTORY] is ad
    assert root[Fact.LOCKOUT_TRIES] == (5 if ad else 500)
    people = step_of(steps, StepName.USER_BASE).facts[Fact.PEOPLE]
    assert isinstance(people, int)
    assert people >= 10
    groups = step_of(steps, StepName.USER_GROUPS).facts
    assert groups[Fact.GROUPS] == ("assistant-users",)
    assert groups[Fact.PATHS] == (f"sales > {between} > assistant-users",)
    assert step_of(steps, StepName.ROLE).facts == {Fact.ROLE: "user"}
    # what these servers are, and no fault of theirs
    assert warnings(steps) == [
        (StepName.DNS, DirectoryCause.ONE_CONTROLLER),
        (encryption, DirectoryCause.CERTIFICATE_ENDS_SOON),
    ]


async def test_without_a_user(real: Real) -> None:
    steps = await examined(real)

    assert failures(steps) == []
    assert steps[-1].name is StepName.GROUPS_FOUND


async def test_each_controller_is_examined(slapd: SlapdServer) -> None:
    """The first is dead, the second serves, the third is named twice."""
    dead = f"ldaps://127.0.0.1:{free_port()}"

    steps = await examined(slapd, "ivanov", ldap_urls=(dead, slapd.ldaps_url, slapd.ldaps_url))

    assert failures(steps) == [(StepName.TCP, DirectoryCause.PORT_CLOSED)]
    at_dead = [step.outcome for step in steps if step.controller.startswith(f"{dead} (")]
    assert at_dead == [CheckOutcome.FAILED, *[CheckOutcome.SKIPPED] * 8]
    assert len([step for step in steps if step.name is StepName.TCP]) == 2
    assert step_of(steps, StepName.ROLE).facts == {Fact.ROLE: "admin"}


async def test_an_unknown_host(ldap_server: LdapServer) -> None:
    steps = await examined(ldap_server, ldap_urls=("ldaps://dc1.corp.invalid",))

    assert failures(steps) == [(StepName.DNS, DirectoryCause.HOST_UNKNOWN)]
    assert len(steps) == 1


async def test_a_closed_port(ldap_server: LdapServer) -> None:
    steps = await examined(ldap_server, ldap_urls=(f"ldaps://127.0.0.1:{free_port()}",))

    assert failures(steps) == [(StepName.TCP, DirectoryCause.PORT_CLOSED)]


async def test_a_firewall(ldap_server: LdapServer, black_hole: BlackHole) -> None:
    steps = await examined(ldap_server, ldap_urls=(black_hole.url,))

    assert failures(steps) == [(StepName.TCP, DirectoryCause.FIREWALL)]
    assert 1 < step_of(steps, StepName.TCP).seconds < 3


async def test_no_tls_where_it_should_be(ldap_server: LdapServer) -> None:
    url = ldap_server.url.replace("ldap:", "ldaps:")

    steps = await examined(ldap_server, ldap_urls=(url,))

    assert failures(steps) == [(StepName.TLS, DirectoryCause.NOT_TLS)]
    assert ldap_server.binds == []


@pytest.mark.parametrize("start_tls", [False, True])
@pytest.mark.parametrize(
    ("cause", "issue"),
    [
        (DirectoryCause.AUTHORITY_UNKNOWN, lambda _own, other: other.issue("127.0.0.1")),
        (DirectoryCause.SELF_SIGNED, lambda own, _other: own.issue("127.0.0.1", self_signed=True)),
        (DirectoryCause.CERTIFICATE_OTHER_HOST, lambda own, _other: own.issue("dc2.corp.test")),
        (DirectoryCause.CERTIFICATE_OTHER_HOST, lambda own, _other: own.issue("127.0.0.2")),
        (
            DirectoryCause.CERTIFICATE_EXPIRED,
            lambda own, _other: own.issue("127.0.0.1", starts=-9 * DAY, ends=-DAY),
        ),
        (DirectoryCause.CERTIFICATE_EARLY, lambda own, _other: own.issue("127.0.0.1", starts=DAY)),
    ],
)
async def test_a_wrong_certificate(
    cause: DirectoryCause,
    issue: Callable[[Authority, Authority], Certificate],
    start_tls: bool,
    authority: Authority,
    tmp_path: Path,
    start_ldap: MakeLdapServer,
) -> None:
    """What it says of itself is shown; nothing is sent to whoever showed it."""
    server = start_ldap(issue(authority, Authority(tmp_path / "other")), start_tls=start_tls)

    steps = await examined(server, ldap_ca_file=authority.ca_file, ldap_start_tls=start_tls)

    name = StepName.START_TLS if start_tls else StepName.TLS
    assert failures(steps) == [(name, cause)]
    facts = step_of(steps, name).facts
    assert str(facts[Fact.SUBJECT]).startswith("CN=")
    assert (facts[Fact.DAYS_LEFT] == -2) is (cause is DirectoryCause.CERTIFICATE_EXPIRED)
    assert server.binds == []


@pytest.mark.parametrize(
    "step", [Result(2, "unsupported"), Result(52), Raw(b"", then_close=True)], ids=str
)
async def test_start_tls_refused(step: Result | Raw, ldap_server: LdapServer) -> None:
    ldap_server.steps["start_tls"] = step

    steps = await examined(ldap_server, ldap_start_tls=True)

    assert failures(steps) == [(StepName.START_TLS, DirectoryCause.START_TLS_REFUSED)]
    assert ldap_server.binds == []


async def test_a_directory_that_demands_encryption(slapd: SlapdServer) -> None:
    steps = await examined(slapd, ldap_urls=(slapd.start_tls_url,), ldap_start_tls=False)

    assert failures(steps) == [(StepName.SERVICE_BIND, DirectoryCause.TLS_REQUIRED)]
    assert (StepName.TLS, DirectoryCause.CLEAR_TEXT) in warnings(steps)


async def test_trust_in_one_certificate(authority: Authority, start_ldap: MakeLdapServer) -> None:
    """The remedy for a server that signed its own."""
    certificate = authority.issue("127.0.0.1", self_signed=True, ends=90 * DAY)
    server = start_ldap(certificate)

    steps = await examined(server, ldap_ca_file=certificate.cert)

    assert step_of(steps, StepName.TLS).outcome is CheckOutcome.OK


async def test_a_wrong_password(real: Real) -> None:
    steps = await examined(real, "ivanov", ldap_bind_password="not the password")

    active_directory = isinstance(real, SambaServer)
    cause = (
        DirectoryCause.SERVICE_WRONG_PASSWORD
        if active_directory
        else DirectoryCause.SERVICE_REFUSED
    )
    assert failures(steps) == [(StepName.SERVICE_BIND, cause)]
    skipped = [step.name for step in steps if step.outcome is CheckOutcome.SKIPPED]
    assert skipped[0] is StepName.ROOT_DSE
    assert skipped[-1] is StepName.ROLE


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        ("525", DirectoryCause.SERVICE_UNKNOWN),
        ("530", DirectoryCause.SERVICE_LOGON_HOURS),
        ("531", DirectoryCause.SERVICE_WORKSTATION),
        ("532", DirectoryCause.SERVICE_PASSWORD_EXPIRED),
        ("533", DirectoryCause.SERVICE_DISABLED),
        ("701", DirectoryCause.SERVICE_EXPIRED),
        ("773", DirectoryCause.SERVICE_MUST_CHANGE),
        ("775", DirectoryCause.SERVICE_LOCKED),
    ],
)
async def test_what_active_directory_says(
    data: str, cause: DirectoryCause, ldap_server: LdapServer
) -> None:
    said = f"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v"
    ldap_server.steps["bind"] = Result(49, said)

    assert failures(await examined(ldap_server)) == [(StepName.SERVICE_BIND, cause)]


async def test_a_service_account_by_its_login(samba: SambaServer) -> None:
    """Active Directory takes name@domain in the place of the DN."""
    assert failures(await examined(samba, ldap_bind_dn="assistant@corp.test")) == []


async def test_a_disabled_service_account(samba: SambaServer) -> None:
    """As Samba itself says it."""
    disabled = f"CN=Вера Ушедшая,{samba_ad.PEOPLE}"

    steps = await examined(samba, ldap_bind_dn=disabled, ldap_bind_password=samba_ad.PASSWORD)

    assert failures(steps) == [(StepName.SERVICE_BIND, DirectoryCause.SERVICE_DISABLED)]


@pytest.mark.parametrize("start_tls", [False, True])
async def test_a_frozen_controller(start_tls: bool, slapd: SlapdServer) -> None:
    """The kernel takes the connection, and nobody is behind it."""
    url = slapd.start_tls_url if start_tls else slapd.ldaps_url
    slapd.freeze()
    try:
        steps = await examined(slapd, ldap_urls=(url,), ldap_start_tls=True)
    finally:
        slapd.thaw()

    assert failures(steps) == [
        (StepName.START_TLS if start_tls else StepName.TLS, DirectoryCause.SILENT)
    ]


async def test_silence(ldap_server: LdapServer) -> None:
    ldap_server.steps["bind"] = Hang()

    steps = await examined(ldap_server)

    assert failures(steps) == [(StepName.SERVICE_BIND, DirectoryCause.SILENT)]
    assert steps[-1].outcome is CheckOutcome.SKIPPED


async def test_garbage(ldap_server: LdapServer) -> None:
    ldap_server.steps["bind"] = Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", then_close=True)

    assert failures(await examined(ldap_server)) == [
        (StepName.SERVICE_BIND, DirectoryCause.BROKE_OFF)
    ]


async def test_a_wrong_search_base(real: Real) -> None:
    """Within the directory, and outside of it: there the groups cannot be told either."""
    domain = samba_ad.DOMAIN if isinstance(real, SambaServer) else openldap.SUFFIX

    inside = await examined(real, ldap_user_base=f"ou=nowhere,{domain}")
    assert failures(inside) == [(StepName.USER_BASE, DirectoryCause.BASE_MISSING)]
    assert step_of(inside, StepName.GROUPS_FOUND).outcome is CheckOutcome.OK

    outside = await examined(real, ldap_user_base="dc=elsewhere,dc=test")
    assert [name for name, _ in failures(outside)] == [StepName.USER_BASE]

    no_dn = await examined(real, ldap_user_base="people")
    assert [name for name, _ in failures(no_dn)] == [StepName.USER_BASE]


async def test_a_base_with_nothing_below(slapd: SlapdServer) -> None:
    steps = await examined(
        slapd, ldap_user_base=f"uid=unix,{openldap.PEOPLE}", ldap_user_filter="(mail={username})"
    )

    assert failures(steps) == [(StepName.USER_BASE, DirectoryCause.BASE_EMPTY)]


@pytest.mark.parametrize(
    ("criteria", "cause"),
    [
        ("(noSuchAttribute={username})", DirectoryCause.FILTER_MEETS_NOBODY),
        ("(&(uid={username})(uid>))", DirectoryCause.FILTER_BROKEN),
    ],
)
async def test_a_bad_filter(criteria: str, cause: DirectoryCause, real: Real) -> None:
    steps = await examined(real, ldap_user_filter=criteria)

    assert failures(steps) == [(StepName.USER_BASE, cause)]


async def test_no_lasting_id(ldap_server: LdapServer) -> None:
    ldap_server.people[0].attributes.pop("entryUUID")

    steps = await examined(ldap_server, ldap_user_base=ldap_server.people[0].dn)

    assert failures(steps) == [(StepName.USER_BASE, DirectoryCause.NO_ID)]


async def test_an_unknown_group(real: Real) -> None:
    """The others count all the same."""
    steps = await examined(real, "ivanov", ldap_allowed_groups=("assistant-user",))

    assert failures(steps) == [(StepName.GROUPS_FOUND, DirectoryCause.GROUP_UNKNOWN)]
    assert step_of(steps, StepName.GROUPS_FOUND).facts[Fact.MISSING] == ("assistant-user",)
    assert step_of(steps, StepName.ROLE).facts == {Fact.ROLE: "admin"}


async def test_a_group_below_another_base(slapd: SlapdServer) -> None:
    steps = await examined(slapd, ldap_group_base=openldap.PEOPLE)

    assert failures(steps) == [(StepName.GROUPS_FOUND, DirectoryCause.GROUP_ELSEWHERE)]
    places = step_of(steps, StepName.GROUPS_FOUND).facts[Fact.DN]
    assert f"cn=assistant-users,{openldap.GROUPS}" in str(places)


async def test_a_group_base_that_is_not_there(slapd: SlapdServer) -> None:
    steps = await examined(slapd, ldap_group_base=f"ou=nowhere,{openldap.SUFFIX}")

    assert failures(steps) == [(StepName.GROUPS_FOUND, DirectoryCause.GROUP_BASE_MISSING)]


async def test_two_groups_of_one_name(slapd: SlapdServer) -> None:
    twin = f"cn=assistant-users,ou=other,{openldap.SUFFIX}"
    slapd.change(
        f"dn: {twin}\nobjectClass: groupOfNames\ncn: assistant-users\nmember: {openldap.PEOPLE}\n"
    )
    try:
        steps = await examined(slapd)
    finally:
        slapd.change(f"dn: {twin}\nchangetype: delete\n")

    assert failures(steps) == [(StepName.GROUPS_FOUND, DirectoryCause.GROUP_AMBIGUOUS)]


async def test_nobody_of_that_name(real: Real) -> None:
    steps = await examined(real, "nobody")

    assert failures(steps) == [(StepName.USER_FOUND, DirectoryCause.USER_UNKNOWN)]
    assert step_of(steps, StepName.USER_GROUPS).outcome is CheckOutcome.SKIPPED
    assert step_of(steps, StepName.ROLE).outcome is CheckOutcome.SKIPPED


async def test_a_name_that_cannot_be(slapd: SlapdServer) -> None:
    steps = await examined(slapd, "iva\x00nov")

    assert failures(steps) == [(StepName.USER_FOUND, DirectoryCause.NAME_MALFORMED)]


async def test_outside_the_base(slapd: SlapdServer) -> None:
    steps = await examined(slapd, "petrova")

    assert failures(steps) == [(StepName.USER_FOUND, DirectoryCause.USER_ELSEWHERE)]
    dns = step_of(steps, StepName.USER_FOUND).facts[Fact.DN]
    assert dns == (f"uid=petrova,ou=other,{openldap.SUFFIX}",)


async def test_left_out_by_the_filter(slapd: SlapdServer) -> None:
    steps = await examined(slapd, "outsider", ldap_user_filter="(&(uid={username})(!(cn=Роман*)))")

    assert failures(steps) == [(StepName.USER_FOUND, DirectoryCause.USER_FILTERED)]


async def test_two_of_one_name(slapd: SlapdServer) -> None:
    steps = await examined(
        slapd,
        "ivanov",
        ldap_user_base=openldap.SUFFIX,
        ldap_user_filter="(|(uid={username})(uid=petrova))",
    )

    assert failures(steps) == [(StepName.USER_FOUND, DirectoryCause.USER_TWICE)]


@pytest.mark.parametrize(
    ("login", "cause"),
    [
        ("disabled", DirectoryCause.USER_DISABLED),
        ("expired", DirectoryCause.USER_EXPIRED),
        ("newcomer", DirectoryCause.USER_MUST_CHANGE),
    ],
)
async def test_accounts_that_may_not_log_in(login: str, cause: DirectoryCause, real: Real) -> None:
    steps = await examined(real, login)

    assert (StepName.USER_STATE, cause) in failures(steps)


async def test_a_lock_that_may_be_over(slapd: SlapdServer) -> None:
    steps = await examined(slapd, "locked")

    assert (StepName.USER_STATE, DirectoryCause.USER_LOCK_WRITTEN) in warnings(steps)


@pytest.mark.parametrize(
    ("login", "cause", "fails"),
    [
        ("night", DirectoryCause.USER_NO_LOGON_HOURS, True),
        ("desk", DirectoryCause.USER_WORKSTATIONS, False),
        ("osmirnova", DirectoryCause.USER_OUTSIDE_LOGON_HOURS, False),
    ],
)
async def test_when_and_where_an_account_may_log_in(
    login: str, cause: DirectoryCause, fails: bool, samba: SambaServer
) -> None:
    """Active Directory tells it to the right password only; the entry tells it before."""
    hour = dt.datetime.now(dt.UTC)
    now = (hour.weekday() + 1) % 7 * 24 + hour.hour
    open_hours = ((1 << 168) - 1) & ~(0b11 << now)  # not this hour, nor the next
    if login == "osmirnova":
        samba.change_bytes(login, logonHours=open_hours.to_bytes(21, "little"))
    try:
        steps = await examined(samba, login)
    finally:
        if login == "osmirnova":
            samba.change(login, logonHours="")
    assert (StepName.USER_STATE, cause) in (failures if fails else warnings)(steps)
    if login == "desk":
        assert step_of(steps, StepName.USER_STATE).facts[Fact.WORKSTATIONS] == ("PC-77",)


async def test_a_group_without_rights(samba: SambaServer) -> None:
    """The DN is there; what it is and who is in it cannot be read."""
    dn = f"CN=assistant-users,{samba_ad.GROUPS}"
    descriptor = samba.deny_service(dn, 0x10)
    try:
        steps = await examined(samba, "osmirnova", ldap_allowed_groups=(dn,))
    finally:
        samba.restore_rights(dn, descriptor)
    assert (StepName.GROUPS_FOUND, DirectoryCause.GROUP_UNREADABLE) in failures(steps)


async def test_no_allowed_group(real: Real) -> None:
    steps = await examined(real, "outsider")

    assert failures(steps) == [(StepName.ROLE, DirectoryCause.NO_ALLOWED_GROUP)]


async def test_no_secret_is_told(
    real: Real, ldap_server: LdapServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in a step, a sentence or the log; not where a server repeats it."""
    secret = "bind: S3cret of the service"
    ldap_server.steps["bind"] = Result(49, f"wrong password {secret}")
    own = real.settings()["ldap_bind_password"]

    steps = await examined(real, "ivanov")
    steps += await examined(real, ldap_bind_password=secret)
    steps += await examined(ldap_server, ldap_bind_password=secret)

    told = repr(steps) + "".join(capfd.readouterr())
    for step in steps:
        for locale in ("ru", "en"):
            sentences = sentences_of(step, locale) or ()
            told += "".join([name_of(step, locale), *facts_of(step, locale), *sentences])
    assert secret not in told
    assert own not in told


async def test_nothing_is_left_behind(slapd: SlapdServer) -> None:
    """Whoever goes away in the middle of it: a link that stays open fails the test run."""
    async with aclosing(check(load_settings(**slapd.settings()), "ivanov")) as steps:
        async for step in steps:
            if step.name is StepName.SERVICE_BIND:
                break
