"""The certificate behind an https address, as a browser on this machine would judge it."""

import contextlib
import socket
import ssl
from dataclasses import dataclass, field

from genai_app.adapters.directory.check.handshake import (
    CERTIFICATE_CAUSES,
    SOON_DAYS,
    certificate_facts,
)
from genai_app.adapters.directory.check.steps import DirectoryCause, Fact
from genai_app.adapters.findings import FactValue

CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class TlsSeen:
    """`cause`: what is wrong with the certificate or the encryption, None: nothing. `reached`: at
    all."""

    reached: bool
    cause: DirectoryCause | None = None
    facts: dict[Fact, FactValue] = field(default_factory=dict[Fact, FactValue])


def look_at(host: str, port: int, authorities: str | None = None) -> TlsSeen:
    """Shake hands and hang up. Blocks for some seconds at most.

    Args:
        authorities: a PEM file in place of the system's.
    """
    cause = None
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        return TlsSeen(reached=False, facts={Fact.DETAIL: error.strerror or str(error)})
    try:
        der = _shake(host, port, ssl.create_default_context(cafile=authorities))
    except ssl.SSLCertVerificationError as error:
        cause = CERTIFICATE_CAUSES.get(error.verify_code, DirectoryCause.CERTIFICATE_REFUSED)
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        der = b""
        with contextlib.suppress(OSError):  # only to tell what it says; nothing is sent
            der = _shake(host, port, unverified)
    except OSError as error:
        return TlsSeen(reached=True, cause=DirectoryCause.NOT_TLS, facts={Fact.DETAIL: str(error)})
    facts = certificate_facts(der) if der else {}
    days = facts.get(Fact.DAYS_LEFT)
    if cause is None and isinstance(days, int) and days < SOON_DAYS:
        cause = DirectoryCause.CERTIFICATE_ENDS_SOON
    return TlsSeen(reached=True, cause=cause, facts=facts)


def _shake(host: str, port: int, context: ssl.SSLContext) -> bytes:
    """The server's certificate. Raises OSError, ssl.SSLError among them."""
    with (
        socket.create_connection((host, port), CONNECT_S) as link,
        context.wrap_socket(link, server_hostname=host) as tls,
    ):
        return tls.getpeercert(binary_form=True) or b""
