"""The first steps of a check of the directory: connection, encryption, service account."""

import contextlib
import re
import ssl

from cryptography import x509

from genai_app import clock
from genai_app.adapters.directory.check.steps import Cause, Fact, FactValue, Fault, Seen
from genai_app.adapters.directory.deadline import TimeIsUp, TimeLimit
from genai_app.adapters.directory.link import (
    ANSWER_TIMEOUT_S,
    BindAnswer,
    CertificateRefused,
    Controller,
    ControllerFailed,
    Link,
    StartTlsRefused,
    connected,
)
from genai_app.adapters.directory.refusals import policy_error

SOON_DAYS = 30

# X509_V_ERR_... of OpenSSL
CERTIFICATE_CAUSES = {
    2: Cause.AUTHORITY_UNKNOWN,
    9: Cause.CERTIFICATE_EARLY,
    10: Cause.CERTIFICATE_EXPIRED,
    18: Cause.SELF_SIGNED,
    19: Cause.AUTHORITY_UNKNOWN,  # an authority that nobody else signed, as they all are
    20: Cause.AUTHORITY_UNKNOWN,
    21: Cause.AUTHORITY_UNKNOWN,
    62: Cause.CERTIFICATE_OTHER_HOST,
    64: Cause.CERTIFICATE_OTHER_HOST,
}
_NOT_TLS = re.compile("WRONG_VERSION_NUMBER|PACKET_LENGTH|RECORD_LAYER|EOF|Reset|HTTP_REQUEST")

_AD_DATA = {
    "525": Cause.SERVICE_UNKNOWN,
    "52e": Cause.SERVICE_WRONG_PASSWORD,
    "530": Cause.SERVICE_LOGON_HOURS,
    "531": Cause.SERVICE_WORKSTATION,
    "532": Cause.SERVICE_PASSWORD_EXPIRED,
    "533": Cause.SERVICE_DISABLED,
    "701": Cause.SERVICE_EXPIRED,
    "773": Cause.SERVICE_MUST_CHANGE,
    "775": Cause.SERVICE_LOCKED,
}
_POLICY = {
    0: Cause.SERVICE_PASSWORD_EXPIRED,
    1: Cause.SERVICE_LOCKED,
    2: Cause.SERVICE_MUST_CHANGE,
}
_BIND_CODES = {
    8: Cause.TLS_REQUIRED,  # strongerAuthRequired
    13: Cause.TLS_REQUIRED,  # confidentialityRequired
    32: Cause.SERVICE_UNKNOWN,
    34: Cause.SERVICE_DN_MALFORMED,
    48: Cause.SERVICE_REFUSED,
    49: Cause.SERVICE_REFUSED,
}


def knock(controller: Controller, limit: TimeLimit) -> Seen:
    """Whether anybody listens. Nothing is sent."""
    try:
        link = connected(controller, limit)
    except ControllerFailed as error:
        cause = error.cause
        if cause.startswith("timeout"):
            raise Fault(Cause.FIREWALL) from None
        if cause.startswith("refused"):
            raise Fault(Cause.PORT_CLOSED) from None
        raise Fault(Cause.NO_WAY, {Fact.DETAIL: cause}) from None
    limit.let_go(link)
    link.close()
    return Seen()


def encrypted(controller: Controller, tls: ssl.SSLContext, limit: TimeLimit) -> tuple[Link, Seen]:
    """A link as the product itself makes it, and what its certificate says."""
    try:
        link = Link(controller, tls, limit, ANSWER_TIMEOUT_S)
    except CertificateRefused as error:
        cause = CERTIFICATE_CAUSES.get(error.verify_code, Cause.CERTIFICATE_REFUSED)
        facts = _unverified(controller, limit)
        raise Fault(cause, facts | {Fact.DETAIL: error.cause}) from None
    except StartTlsRefused as error:
        raise Fault(Cause.START_TLS_REFUSED, {Fact.DETAIL: error.cause}) from None
    except ControllerFailed as error:
        if error.cause.startswith("timeout"):
            cause = Cause.SILENT
        elif controller.start_tls and not error.cause.startswith("tls"):
            cause = Cause.START_TLS_REFUSED  # it hung up, or has no certificate ("unavailable")
        elif _NOT_TLS.search(error.cause):
            cause = Cause.NOT_TLS
        else:
            cause = Cause.TLS_FAILED
        raise Fault(cause, {Fact.DETAIL: error.cause}) from None
    if link.encryption is None:
        return link, Seen(cause=Cause.CLEAR_TEXT)
    version, der = link.encryption
    facts = certificate_facts(der)
    days = facts.get(Fact.DAYS_LEFT)
    soon = isinstance(days, int) and days < SOON_DAYS
    return link, Seen(
        {Fact.TLS_VERSION: version, **facts}, Cause.CERTIFICATE_ENDS_SOON if soon else None
    )


def service_fault(answer: BindAnswer) -> Cause | None:
    """Why the service account was refused; None: it was not."""
    error = policy_error(answer.policy)
    if answer.code == 0 and error is None:
        return None
    found = re.search(r"\bdata ([0-9a-f]+)\b", answer.message, re.IGNORECASE)
    if answer.code == 49 and found and found[1].lower() in _AD_DATA:
        return _AD_DATA[found[1].lower()]
    if error in _POLICY:
        return _POLICY[error]
    return _BIND_CODES.get(answer.code, Cause.ANSWERED_OTHERWISE)


def _unverified(controller: Controller, limit: TimeLimit) -> dict[Fact, FactValue]:
    """What a certificate that was refused says of itself. Only the handshake is made again: no
    name and no password goes over such a link."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        contextlib.suppress(ControllerFailed, TimeIsUp),
        Link(controller, context, limit, ANSWER_TIMEOUT_S) as link,
    ):
        return certificate_facts(link.encryption[1]) if link.encryption else {}
    return {}


def certificate_facts(der: bytes) -> dict[Fact, FactValue]:
    """What a certificate says of itself."""
    facts: dict[Fact, FactValue] = {}
    # TLS took it; what cannot be shown is left out
    with contextlib.suppress(ValueError, x509.ExtensionNotFound):
        certificate = x509.load_der_x509_certificate(der)
        facts[Fact.SUBJECT] = certificate.subject.rfc4514_string()
        facts[Fact.ISSUER] = certificate.issuer.rfc4514_string()
        facts[Fact.DAYS_LEFT] = (certificate.not_valid_after_utc - clock.now()).days
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        facts[Fact.NAMES] = (
            *names.get_values_for_type(x509.DNSName),
            *(str(each) for each in names.get_values_for_type(x509.IPAddress)),
        )
    return facts
