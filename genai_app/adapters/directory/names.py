"""Names as people type them; filters that search for them; comparison of DNs."""

import re
import unicodedata
import uuid
from dataclasses import dataclass

from genai_app.errors import NotAuthenticated
from genai_app.text import is_invisible

MAX_NAME = 256
PLACEHOLDER = "{username}"

_PLAIN = re.compile(rb"[A-Za-z0-9]")
_AD_USER = "(objectCategory=person)(objectClass=user)"
# accounts of Unix machines need not be persons
_USER = "(|(objectClass=person)(objectClass=posixAccount))"


@dataclass(frozen=True, slots=True)
class TypedName:
    """A login as it was typed: `ivanov`, `CORP\\ivanov`, `CORP/ivanov` or `ivanov@corp.test`."""

    short: str  # without a domain
    full: str  # with the part behind the @, if there is one; else as `short`


def parse_name(text: str) -> TypedName:
    """Parses the text of the name field.

    Raises:
        NotAuthenticated: `bad_name`; no directory has such an account.
    """
    name = unicodedata.normalize("NFKC", text[: 2 * MAX_NAME]).strip()
    full = re.split(r"[\\/]", name)[-1].strip()
    short = full.partition("@")[0].strip() or full
    if not full or max(len(name), len(text)) > MAX_NAME or any(map(is_invisible, name)):
        raise NotAuthenticated("bad_name", code="wrong_credentials")
    return TypedName(short, full)


def escaped(value: str | bytes) -> str:
    """Escapes a value for a filter.

    ldap3's escape_filter_chars does less: it leaves spaces, which its parser strips off the ends,
    and treats binary values as text where they decode as such.
    """
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return "".join(chr(byte) if _PLAIN.match(bytes([byte])) else f"\\{byte:02x}" for byte in raw)


def any_of(filters: list[str]) -> str:
    """Joins filters by OR."""
    return filters[0] if len(filters) == 1 else f"(|{''.join(filters)})"


def login_filter(name: TypedName, *, active_directory: bool, custom: str) -> str:
    """Returns the filter that matches the account of that name."""
    if custom:
        forms = dict.fromkeys((name.short, name.full))
        return any_of([custom.replace(PLACEHOLDER, escaped(form)) for form in forms])
    names = [f"({'sAMAccountName' if active_directory else 'uid'}={escaped(name.short)})"]
    if "@" in name.full:
        attributes = ("userPrincipalName", "mail") if active_directory else ("mail",)
        names += [f"({attribute}={escaped(name.full)})" for attribute in attributes]
    return f"(&{_AD_USER if active_directory else _USER}{any_of(names)})"


def people_filter(*, active_directory: bool, custom: str) -> str:
    """Returns the filter that matches all accounts that may log in."""
    # the custom filter may demand more than a name: a group, an office, the state of employment
    return (
        custom.replace(PLACEHOLDER, "*")
        if custom
        else f"(&{_AD_USER})"
        if active_directory
        else _USER
    )


def id_filter(directory_id: str, *, active_directory: bool, custom: str) -> str:
    """Returns the filter that matches the account of that id, if it may still log in.

    Raises:
        ValueError: such a directory has no ids of this form.
    """
    people = people_filter(active_directory=active_directory, custom=custom)
    if active_directory:
        guid = escaped(guid_bytes(directory_id))
        return f"(&(objectGUID={guid}){people})"
    value = escaped(directory_id)
    ids = f"(|(entryUUID={value})(ipaUniqueID={value})(nsUniqueId={value}))"
    return f"(&{ids}{people})"


def guid_bytes(text: str) -> bytes:
    """Returns the 16 bytes of an objectGUID.

    Raises:
        ValueError: the text is no GUID.
    """
    return uuid.UUID(text).bytes_le


def dn_key(dn: str) -> str:
    """Returns a key that is equal for all spellings of one DN: case, spaces, escapes, order within
    a relative name. A text that cannot be parsed equals only itself."""
    return ",".join(_rdn_key(rdn) for rdn in _split(dn.strip(), ",;"))


def first_name(dn: str) -> str:
    """Returns the first value of a DN, for display: `sales` of `cn=sales,ou=groups,dc=corp`."""
    return _unescaped(_split(dn.strip(), ",;")[0].partition("=")[2])


def is_below(dn: str, base: str) -> bool:
    """Returns whether `dn` is `base` or lies below it."""
    inner, outer = dn_key(dn), dn_key(base)
    return inner == outer or inner.endswith(f",{outer}") or not outer


def _rdn_key(rdn: str) -> str:
    parts: list[str] = []
    for part in _split(rdn, "+"):
        name, equals, value = part.partition("=")
        text = " ".join(_unescaped(value).split()).casefold()
        # escaped again, in one uniform way: a comma in a value must not look like a separator
        parts.append(name.strip().lower() + equals + re.sub(r"([,+=;\\])", r"\\\1", text))
    return "+".join(sorted(parts))


def _split(text: str, separators: str) -> list[str]:
    parts, start, position, quoted = list[str](), 0, 0, False
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character in separators and not quoted:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [*parts, text[start:]]


def _unescaped(value: str) -> str:
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    raw = bytearray()
    position = 0
    data = value.encode("utf-8", "surrogatepass")
    while position < len(data):
        if data[position : position + 1] == b"\\":
            pair = data[position + 1 : position + 3]
            if re.fullmatch(rb"[0-9A-Fa-f]{2}", pair):
                raw.append(int(pair, 16))
                position += 3
                continue
            position += 1
        raw += data[position : position + 1]
        position += 1
    return raw.decode("utf-8", "replace")
