"""The first steps of a check of the directory: connection, encryption, service account."""

import contextlib
import re
import ssl

from cryptography import x509

from genai_app import clock
from genai_app.adapters.directory.check.steps import DirectoryCause, Fact, StepFailed, StepPassed
from genai_app.adapters.directory.deadline import TimeIsUp, TimeLimit
from genai_app.adapters.directory.link import (
    ANSWER_TIMEOUT_S,
    BindAnswer,
    CertificateRefused,
    Controller,
    ControllerFailed,
    Link,
    StartTlsRefused,
    connect,
)
from genai_app.adapters.directory.refusals import policy_error
from genai_app.adapters.findings import FactValue

SOON_DAYS = 30

# X509_V_ERR_... of OpenSSL
CERTIFICATE_CAUSES = {
    2: DirectoryCause.AUTHORITY_UNKNOWN,
    9: DirectoryCause.CERTIFICATE_EARLY,
    10: DirectoryCause.CERTIFICATE_EXPIRED,
    18: DirectoryCause.SELF_SIGNED,
    19: DirectoryCause.AUTHORITY_UNKNOWN,  # a self-signed authority that the system does not trust
    20: DirectoryCause.AUTHORITY_UNKNOWN,
    21: DirectoryCause.AUTHORITY_UNKNOWN,
    62: DirectoryCause.CERTIFICATE_OTHER_HOST,
    64: DirectoryCause.CERTIFICATE_OTHER_HOST,
}
_NOT_TLS = re.compile("WRONG_VERSION_NUMBER|PACKET_LENGTH|RECORD_LAYER|EOF|Reset|HTTP_REQUEST")

_AD_DATA = {
    "525": DirectoryCause.SERVICE_UNKNOWN,
    "52e": DirectoryCause.SERVICE_WRONG_PASSWORD,
    "530": DirectoryCause.SERVICE_LOGON_HOURS,
    "531": DirectoryCause.SERVICE_WORKSTATION,
    "532": DirectoryCause.SERVICE_PASSWORD_EXPIRED,
    "533": DirectoryCause.SERVICE_DISABLED,
    "701": DirectoryCause.SERVICE_EXPIRED,
    "773": DirectoryCause.SERVICE_MUST_CHANGE,
    "775": DirectoryCause.SERVICE_LOCKED,
}
_POLICY = {
    0: DirectoryCause.SERVICE_PASSWORD_EXPIRED,
    1: DirectoryCause.SERVICE_LOCKED,
    2: DirectoryCause.SERVICE_MUST_CHANGE,
}
_BIND_CODES = {
    8: DirectoryCause.TLS_REQUIRED,  # strongerAuthRequired
    13: DirectoryCause.TLS_REQUIRED,  # confidentialityRequired
    32: DirectoryCause.SERVICE_UNKNOWN,
    34: DirectoryCause.SERVICE_DN_MALFORMED,
    48: DirectoryCause.SERVICE_REFUSED,
    49: DirectoryCause.SERVICE_REFUSED,
}


def check_port(controller: Controller, limit: TimeLimit) -> StepPassed:
    """Opens and closes a connection. Nothing is sent.

    Raises:
        StepFailed: nobody listens.
        TimeIsUp
    """
    try:
        link = connect(controller, limit)
    except ControllerFailed as error:
        cause = error.cause
        if cause.startswith("timeout"):
            raise StepFailed(DirectoryCause.FIREWALL) from None
        if cause.startswith("refused"):
            raise StepFailed(DirectoryCause.PORT_CLOSED) from None
        raise StepFailed(DirectoryCause.NO_WAY, {Fact.DETAIL: cause}) from None
    limit.release(link)
    link.close()
    return StepPassed()


def open_encrypted(
    controller: Controller, tls: ssl.SSLContext, limit: TimeLimit
) -> tuple[Link, StepPassed]:
    """Opens a link as logins do, and reports its certificate.

    Raises:
        StepFailed, TimeIsUp
    """
    try:
        link = Link(controller, tls, limit, ANSWER_TIMEOUT_S)
    except CertificateRefused as error:
        cause = CERTIFICATE_CAUSES.get(error.verify_code, DirectoryCause.CERTIFICATE_REFUSED)
        facts = _unverified(controller, limit)
        raise StepFailed(cause, facts | {Fact.DETAIL: error.cause}) from None
    except StartTlsRefused as error:
        raise StepFailed(DirectoryCause.START_TLS_REFUSED, {Fact.DETAIL: error.cause}) from None
    except ControllerFailed as error:
        if error.cause.startswith("timeout"):
            cause = DirectoryCause.SILENT
        elif controller.start_tls and not error.cause.startswith("tls"):
            cause = (
                DirectoryCause.START_TLS_REFUSED
            )  # the controller hung up, or has no certificate ("unavailable")
        elif _NOT_TLS.search(error.cause):
            cause = DirectoryCause.NOT_TLS
        else:
            cause = DirectoryCause.TLS_FAILED
        raise StepFailed(cause, {Fact.DETAIL: error.cause}) from None
    if link.encryption is None:
        return link, StepPassed(cause=DirectoryCause.CLEAR_TEXT)
    version, der = link.encryption
    facts = certificate_facts(der)
    days = facts.get(Fact.DAYS_LEFT)
    soon = isinstance(days, int) and days < SOON_DAYS
    return link, StepPassed(
        {Fact.TLS_VERSION: version, **facts}, DirectoryCause.CERTIFICATE_ENDS_SOON if soon else None
    )


def service_fault(answer: BindAnswer) -> DirectoryCause | None:
    """Returns why the service account was refused; None: it was accepted."""
    error = policy_error(answer.policy)
    if answer.code == 0 and error is None:
        return None
    match = re.search(r"\bdata ([0-9a-f]+)\b", answer.message, re.IGNORECASE)
    if answer.code == 49 and match and match[1].lower() in _AD_DATA:
        return _AD_DATA[match[1].lower()]
    if error in _POLICY:
        return _POLICY[error]
    return _BIND_CODES.get(answer.code, DirectoryCause.ANSWERED_OTHERWISE)


def _unverified(controller: Controller, limit: TimeLimit) -> dict[Fact, FactValue]:
    """Reads a certificate that was refused, by a second handshake without verification. No name and
    no password is sent over that link."""
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
    """Returns the subject, issuer, names and validity of a certificate."""
    facts: dict[Fact, FactValue] = {}
    # TLS accepted the certificate; fields that cannot be decoded are left out
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
