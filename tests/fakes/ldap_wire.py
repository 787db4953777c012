"""LDAP messages as the scripted server reads and writes them."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ldap3.protocol import rfc4511
from pyasn1.codec.ber import encoder

from genai_app.adapters.directory.names import dn_key, escaped

# neither ldap3 nor pyasn1 has types
_asn1: Any = rfc4511
_encode: Any = encoder.encode

BIND, SEARCH, EXTENDED = 0x60, 0x63, 0x77  # tags of requests


@dataclass(frozen=True)
class Bind:
    """A name and a password that came, byte for byte."""

    dn: str
    password: bytes
    encrypted: bool


@dataclass(frozen=True)
class Condition:
    """A part of a filter: `&`, `|`, `!` with parts; `=`, `=*`, `:=` with a name, a value, a rule;
    `?` for the rest."""

    kind: str
    parts: tuple["Condition", ...] = ()
    name: str = ""
    value: bytes = b""
    rule: str = ""

    def __str__(self) -> str:
        """The notation of RFC 4515."""
        if self.parts:
            return f"({self.kind}{''.join(map(str, self.parts))})"
        if self.kind == "=*":
            return f"({self.name}=*)"
        rule = f":{self.rule}:" if self.kind == ":=" else ""
        return f"({self.name}{rule}={escaped(self.value)})"


@dataclass(frozen=True)
class Search:
    base: str
    scope: int
    condition: Condition

    @property
    def criteria(self) -> str:
        """The filter, values escaped as the client escapes them."""
        return str(self.condition)


@dataclass(frozen=True)
class Message:
    number: int
    kind: int  # the tag: BIND, SEARCH, EXTENDED or another
    body: bytes


@dataclass(frozen=True)
class Person:
    """An entry of the scripted directory."""

    dn: str
    password: bytes
    attributes: dict[str, list[bytes]]


def read_message(link: socket.socket) -> Message | None:
    """The next message; None when the client went away."""
    head = _exactly(link, 2)
    if head is None:
        return None
    size = head[1]
    if size & 0x80:
        more = _exactly(link, size & 0x7F)
        if more is None:
            return None
        size = int.from_bytes(more, "big")
    body = _exactly(link, size)
    if body is None:
        return None
    (_, number), (kind, operation), *_ = _elements(body)
    return Message(int.from_bytes(number, "big"), kind, operation)


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Tags and values of what BER puts one behind the other. Not by pyasn1: it cannot read the
    filters that it wrote by ldap3's definition of them."""
    found: list[tuple[int, bytes]] = []
    position = 0
    while position < len(data):
        tag, size = data[position], data[position + 1]
        position += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[position : position + count], "big")
            position += count
        found.append((tag, data[position : position + size]))
        position += size
    return found


def _exactly(link: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            return None
        data += part
    return data


def bind_of(message: Message, *, encrypted: bool) -> Bind:
    _, (_, name), (_, password) = _elements(message.body)
    return Bind(name.decode(), password, encrypted)


def search_of(message: Message) -> Search:
    (_, base), (_, scope), _, _, _, _, criteria, _ = _elements(message.body)
    return Search(base.decode(), scope[0], _condition(*criteria))


def _condition(tag: int, body: bytes) -> Condition:
    if tag in (0xA0, 0xA1, 0xA2):
        parts = tuple(_condition(*element) for element in _elements(body))
        return Condition("&|!"[tag - 0xA0], parts)
    if tag == 0xA3:
        (_, name), (_, value) = _elements(body)
        return Condition("=", name=name.decode(), value=value)
    if tag == 0x87:
        return Condition("=*", name=body.decode())
    if tag == 0xA9:
        (_, rule), (_, name), (_, value), *_ = _elements(body)
        return Condition(":=", name=name.decode(), value=value, rule=rule.decode())
    return Condition("?")


def is_met(condition: Condition, person: Person) -> bool:
    """Whether an entry meets a filter; what this server does not know is not met."""
    values = {name.lower(): each for name, each in person.attributes.items()}
    have = values.get(condition.name.lower(), [])
    match condition.kind:
        case "&":
            return all(is_met(each, person) for each in condition.parts)
        case "|":
            return any(is_met(each, person) for each in condition.parts)
        case "!":
            return not is_met(condition.parts[0], person)
        case "=*":
            return bool(have)
        case "=":
            return condition.value.lower() in [each.lower() for each in have]
        case _:
            return False


def is_in_scope(search: Search, person: Person) -> bool:
    key, base = dn_key(person.dn), dn_key(search.base)
    return key == base if search.scope == 0 else key == base or key.endswith(f",{base}")


def response(
    number: int,
    kind: str,
    code: int,
    text: str = "",
    *,
    referral: str = "",
    control: tuple[str, bytes] | None = None,
) -> bytes:
    """The end of an operation: `bindResponse`, `searchResDone`, `extendedResp`."""
    made = {
        "bindResponse": _asn1.BindResponse,
        "searchResDone": _asn1.SearchResultDone,
        "extendedResp": _asn1.ExtendedResponse,
    }[kind]()
    made["resultCode"] = _asn1.ResultCode(code)
    made["matchedDN"] = _asn1.LDAPDN("")
    made["diagnosticMessage"] = _asn1.LDAPString(text)
    if referral:
        made["referral"] = _asn1.Referral().setComponentByPosition(0, _asn1.URI(referral))
    return _message(number, kind, made, control)


def entry(number: int, person: Person) -> bytes:
    made = _asn1.SearchResultEntry()
    made["object"] = _asn1.LDAPDN(person.dn)
    attributes = _asn1.PartialAttributeList()
    for place, (name, values) in enumerate(person.attributes.items()):
        attribute = _asn1.PartialAttribute()
        attribute["type"] = _asn1.AttributeDescription(name)
        attribute["vals"] = _asn1.Vals()
        for position, value in enumerate(values):
            attribute["vals"][position] = _asn1.AttributeValue(value)
        attributes[place] = attribute
    made["attributes"] = attributes
    return _message(number, "searchResEntry", made)


def reference(number: int, urls: Sequence[str]) -> bytes:
    """What a server says of a part of the tree that another one has."""
    made = _asn1.SearchResultReference()
    for place, url in enumerate(urls):
        made[place] = _asn1.URI(url)
    return _message(number, "searchResRef", made)


def _message(
    number: int, kind: str, operation: Any, control: tuple[str, bytes] | None = None
) -> bytes:
    message = _asn1.LDAPMessage()
    message["messageID"] = _asn1.MessageID(number)
    message["protocolOp"] = _asn1.ProtocolOp().setComponentByName(kind, operation)
    if control is not None:
        added = _asn1.Control()
        added["controlType"], added["criticality"] = control[0], False
        added["controlValue"] = control[1]
        message["controls"] = _asn1.Controls().setComponentByPosition(0, added)
    return _encode(message)
