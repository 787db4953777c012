"""Names as they are typed, DNs as they are compared, times and controls as they are read."""

import datetime as dt

import pytest

from genai_app import clock
from genai_app.adapters.directory.entries import AccountState, Entry, state_of
from genai_app.adapters.directory.names import dn_key, escaped, is_below, parse_name
from genai_app.adapters.directory.refusals import policy_error

AD_EPOCH = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("typed", "short", "full"),
    [
        ("ivanov", "ivanov", "ivanov"),
        (" CORP\\ivanov ", "ivanov", "ivanov"),
        ("ivanov@corp.test", "ivanov", "ivanov@corp.test"),
        ("CORP\\ivanov@corp.test", "ivanov", "ivanov@corp.test"),
        ("CORP/ivanov", "ivanov", "ivanov"),
        ("corp.test / ivanov", "ivanov", "ivanov"),
        ("\uff23\uff2f\uff32\uff30\uff3c\uff49\uff56\uff41\uff4e\uff4f\uff56", "ivanov", "ivanov"),
        ("ivanov\uff20corp.test\u00a0", "ivanov", "ivanov@corp.test"),
        ("@corp", "@corp", "@corp"),
    ],
)
def test_forms_of_a_name(typed: str, short: str, full: str) -> None:
    name = parse_name(typed)

    assert (name.short, name.full) == (short, full)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CN=Чат,DC=Corp,DC=test", "cn=чат, dc=corp , dc=TEST"),
        ("cn=a\\,b,dc=x", "cn=a\\2Cb,dc=x"),
        ('cn="a,b",dc=x', "cn=a\\2cb,dc=x"),
        ("cn=a  b,dc=x", "cn = a b,dc=x"),
        ("cn=a+uid=b,dc=x", "uid=b+cn=a,dc=x"),
        ("cn=\\d0\\b8,dc=x", "cn=И,dc=x"),
        ("cn=\\28a\\29,dc=x", "cn=(a),dc=x"),
    ],
)
def test_one_dn_written_in_two_ways(one: str, other: str) -> None:
    assert dn_key(one) == dn_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cn=a\\,dc=x", "cn=a,dc=x"),
        ("cn=a\\+b,dc=x", "cn=a+b,dc=x"),
        ("cn=a,dc=x", "cn=a,dc=x,dc=y"),
        ("cn=ё,dc=x", "cn=е,dc=x"),
        ("cn=a\\5c\\,dc=x", "cn=a\\\\,dc=x"),
    ],
)
def test_different_dns(one: str, other: str) -> None:
    assert dn_key(one) != dn_key(other)


def test_what_lies_below() -> None:
    assert is_below("uid=a,OU=People,dc=x", "ou=people, dc=x")
    assert not is_below("uid=a\\,ou=people,dc=x", "ou=people,dc=x")
    assert not is_below("uid=a,xou=people,dc=x", "ou=people,dc=x")


def test_escaping_leaves_letters_and_digits() -> None:
    assert escaped("aZ9 *()\\\0и") == "aZ9\\20\\2a\\28\\29\\5c\\00\\d0\\b8"
    assert escaped(b"\xff\x00a") == "\\ff\\00a"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, None),
        (b"", None),
        (b"\x30\x00", None),
        (b"\x30\x03\x81\x01\x02", 2),
        (b"\x30\x08\xa0\x03\x80\x01\x05\x81\x01\x01", 1),
        (b"\x30\x05\xa0\x03\x80\x01\x05", None),
        (b"\x30\x03\x81\x01", None),
        (b"\x30\x02\x81\x01", None),
        (b"\x30", None),
        (b"\x04\x03\x81\x01\x02", None),
    ],
)
def test_error_of_a_password_policy_control(value: bytes | None, error: int | None) -> None:
    assert policy_error(value) == error


TODAY = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)


def ad_ticks(days: int) -> str:
    """That many days from this one, as Active Directory writes a time."""
    since = TODAY + dt.timedelta(days=days) - AD_EPOCH
    return str(since // dt.timedelta(microseconds=1) * 10)


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        ({"userAccountControl": "512", "accountExpires": "0"}, "active"),
        ({"userAccountControl": "512", "accountExpires": "9223372036854775807"}, "active"),
        ({"userAccountControl": "512", "accountExpires": "9223372036854775806"}, "active"),
        ({"userAccountControl": "512", "accountExpires": ad_ticks(2)}, "active"),
        ({"userAccountControl": "512", "accountExpires": ad_ticks(-1)}, "expired"),
        ({"userAccountControl": "514", "accountExpires": ad_ticks(-1)}, "disabled"),
        ({"userAccountControl": "512", "pwdLastSet": "0"}, "must_change"),
        ({"userAccountControl": "66048", "pwdLastSet": "0"}, "active"),
        ({"userAccountControl": "512", "pwdLastSet": "junk"}, "active"),
        ({"pwdAccountLockedTime": "000001010000Z"}, "disabled"),
        ({"pwdAccountLockedTime": "20260101000000Z"}, "locked"),
        ({"accountUnlockTime": "0"}, "locked"),
        ({"accountUnlockTime": "20200101000000Z"}, "active"),
        ({"shadowExpire": "-1"}, "active"),
        ({"krbPrincipalExpiration": "99990101000000Z"}, "active"),
        ({"krbPrincipalExpiration": "20209901000000Z"}, "active"),
        ({}, "active"),
    ],
    ids=str,
)
def test_state_of_an_account(attributes: dict[str, str], state: str) -> None:
    values = {name.lower(): [value.encode()] for name, value in attributes.items()}

    assert state_of(Entry("cn=a", values)) is AccountState(state)
