"""Whether the directory serves, and when it locks accounts by itself."""

import pytest

from genai_app.adapters.directory import client as directory_module
from genai_app.adapters.directory.client import Lockout
from tests.fakes import slapd as openldap
from tests.fakes.directory_calls import MakeDirectory, failure
from tests.fakes.ldap_server import LdapServer, Result
from tests.fakes.samba_ad import SambaServer
from tests.fakes.slapd import SlapdServer

pytest_plugins = ("tests.fakes.directory_fixtures",)

POLICY = f"cn=standard,ou=system,{openldap.SUFFIX}"


async def test_check(real: SlapdServer | SambaServer, make_directory: MakeDirectory) -> None:
    await make_directory(real).check()


async def test_check_is_one_bind(ldap_server: LdapServer, make_directory: MakeDirectory) -> None:
    await make_directory(ldap_server).check()

    assert len(ldap_server.binds) == 1
    assert ldap_server.user_binds == []


async def test_check_fails(ldap_server: LdapServer, make_directory: MakeDirectory) -> None:
    ldap_server.steps["bind"] = Result(49)

    detail = await failure(make_directory(ldap_server).check())

    assert detail.startswith("service_account: ")


async def test_lockout_of_active_directory(
    samba: SambaServer, make_directory: MakeDirectory
) -> None:
    assert await make_directory(samba).lockout() == Lockout(tries=5, window_s=1800)


async def test_no_lockout_in_active_directory(
    samba: SambaServer, make_directory: MakeDirectory
) -> None:
    samba.set_domain(lockoutThreshold="0")
    try:
        assert await make_directory(samba).lockout() is None
    finally:
        samba.set_domain(lockoutThreshold="5")


async def test_lockout_of_openldap(slapd: SlapdServer, make_directory: MakeDirectory) -> None:
    """The one policy that there is; of two nobody can say which is the default."""
    assert await make_directory(slapd).lockout() == Lockout(tries=500, window_s=0)

    other = POLICY.replace("standard", "other")
    slapd.change(
        f"dn: {other}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: other\n"
        "pwdAttribute: userPassword\npwdLockout: TRUE\npwdMaxFailure: 3\n"
    )
    try:
        assert await make_directory(slapd).lockout() is None
    finally:
        slapd.change(f"dn: {other}\nchangetype: delete\n")


async def test_openldap_that_does_not_lock(
    slapd: SlapdServer, make_directory: MakeDirectory
) -> None:
    change = f"dn: {POLICY}\nchangetype: modify\nreplace: pwdLockout\npwdLockout: "
    slapd.change(f"{change}FALSE\n")
    try:
        assert await make_directory(slapd).lockout() is None
    finally:
        slapd.change(f"{change}TRUE\n")


async def test_lockout_is_remembered(
    slapd: SlapdServer, make_directory: MakeDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour; then it is asked for again."""
    directory, forgetful = make_directory(slapd), make_directory(slapd)
    known = await directory.lockout()
    monkeypatch.setattr(directory_module, "LOCKOUT_KEPT_S", 0)
    assert known == await forgetful.lockout() is not None
    slapd.stop()
    try:
        assert await directory.lockout() == known
        assert await forgetful.lockout() is None
    finally:
        slapd.start()


async def test_lockout_of_a_directory_that_is_away(
    ldap_server: LdapServer, make_directory: MakeDirectory
) -> None:
    """No error, and it is not asked at every login."""
    ldap_server.steps["bind"] = Result(51)
    directory = make_directory(ldap_server)

    assert await directory.lockout() is None
    assert await directory.lockout() is None

    assert len(ldap_server.binds) == 1
