"""LDAP messages as the scripted server reads and writes them."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ldap3.protocol import rfc4511
from pyasn1.codec.ber import decoder, encoder

from genai_app.adapters.directory_names import dn_key, escaped

# neither ldap3 nor pyasn1 has types
_asn1: Any = rfc4511
_decode: Any = decoder.decode
_encode: Any = encoder.encode

START_TLS = "1.3.6.1.4.1.1466.20037"


@dataclass(frozen=True)
class Bind:
    """A name and a password that came, byte for byte."""

    dn: str
    password: bytes
    encrypted: bool


@dataclass(frozen=True)
class Search:
    base: str
    scope: int
    criteria: str  # the filter, values escaped as the client escapes them
    node: Any  # the same, parsed


@dataclass(frozen=True)
class Person:
    """An entry of the scripted directory."""

    dn: str
    password: bytes
    attributes: dict[str, list[bytes]]


def read_message(link: socket.socket) -> Any | None:
    """The next message; None when the client went away."""
    head = _exactly(link, 2)
    if head is None:
        return None
    size = head[1]
    if size & 0x80:
        more = _exactly(link, size & 0x7F)
        if more is None:
            return None
        head, size = head + more, int.from_bytes(more, "big")
    body = _exactly(link, size)
    return None if body is None else _decode(head + body, asn1Spec=_asn1.LDAPMessage())[0]


def _exactly(link: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            return None
        data += part
    return data


def bind_of(message: Any, *, encrypted: bool) -> Bind:
    request = message["protocolOp"]["bindRequest"]
    password = bytes(request["authentication"]["simple"])
    return Bind(bytes(request["name"]).decode(), password, encrypted)


def search_of(message: Any) -> Search:
    request = message["protocolOp"]["searchRequest"]
    node = request["filter"]
    base = bytes(request["baseObject"]).decode()
    return Search(base, int(request["scope"]), filter_text(node), node)


def filter_text(node: Any) -> str:
    """A parsed filter in the notation of RFC 4515."""
    kind, value = node.getName(), node.getComponent()
    if kind in ("and", "or"):
        return f"({'&|'[kind == 'or']}{''.join(filter_text(each) for each in value)})"
    if kind == "present":
        return f"({bytes(value).decode()}=*)"
    if kind == "equalityMatch":
        text = escaped(bytes(value["assertionValue"]))
        return f"({bytes(value['attributeDesc']).decode()}={text})"
    if kind == "extensibleMatch":
        text = escaped(bytes(value["matchValue"]))
        return f"({bytes(value['type']).decode()}:{bytes(value['matchingRule']).decode()}:={text})"
    return f"({kind}...)"


def is_met(node: Any, person: Person) -> bool:
    """Whether an entry meets a filter; what this server does not know is not met."""
    kind, value = node.getName(), node.getComponent()
    if kind == "and":
        return all(is_met(each, person) for each in value)
    if kind == "or":
        return any(is_met(each, person) for each in value)
    values = {name.lower(): each for name, each in person.attributes.items()}
    if kind == "present":
        return bytes(value).decode().lower() in values
    if kind == "equalityMatch":
        wanted = bytes(value["assertionValue"])
        have = values.get(bytes(value["attributeDesc"]).decode().lower(), [])
        return any(each.lower() == wanted.lower() for each in have)
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
