"""Checks the certificate of an https address as a browser on this machine would."""

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
class PublicTls:
    """The result of the check."""

    reached: bool
    cause: DirectoryCause | None = None  # None: certificate and encryption are good
    facts: dict[Fact, FactValue] = field(default_factory=dict[Fact, FactValue])


def examine_tls(host: str, port: int, authorities: str | None = None) -> PublicTls:
    """Makes a TLS handshake and reports the certificate. Blocks for some seconds at most.

    Args:
        authorities: a PEM file to use instead of the system's authorities.
    """
    cause = None
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        return PublicTls(reached=False, facts={Fact.DETAIL: error.strerror or str(error)})
    try:
        der = _certificate_of(host, port, ssl.create_default_context(cafile=authorities))
    except ssl.SSLCertVerificationError as error:
        cause = CERTIFICATE_CAUSES.get(error.verify_code, DirectoryCause.CERTIFICATE_REFUSED)
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        der = b""
        with contextlib.suppress(OSError):  # only to report its fields; nothing is sent
            der = _certificate_of(host, port, unverified)
    except OSError as error:
        return PublicTls(
            reached=True, cause=DirectoryCause.NOT_TLS, facts={Fact.DETAIL: str(error)}
        )
    facts = certificate_facts(der) if der else {}
    days = facts.get(Fact.DAYS_LEFT)
    if cause is None and isinstance(days, int) and days < SOON_DAYS:
        cause = DirectoryCause.CERTIFICATE_ENDS_SOON
    return PublicTls(reached=True, cause=cause, facts=facts)


def _certificate_of(host: str, port: int, context: ssl.SSLContext) -> bytes:
    """Returns the server's certificate in DER. Raises OSError, of which ssl.SSLError is one."""
    with (
        socket.create_connection((host, port), CONNECT_S) as link,
        context.wrap_socket(link, server_hostname=host) as tls,
    ):
        return tls.getpeercert(binary_form=True) or b""
