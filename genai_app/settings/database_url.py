"""Parses the address of PostgreSQL for all three clients: asyncpg (the product), psycopg2
(migrations, backups) and libpq (pg_dump, pg_restore). Parameters that one of them does not support
are refused, so that all three connect in the same way.
"""

import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from genai_app.settings.file_faults import ca_file_fault, file_fault, key_file_fault
from genai_app.settings.urls import Host, parse_url

SCHEMES = ("postgresql", "postgres")
DEFAULT_PORT = 5432
APPLICATION = "genai"
VERIFIED = ("verify-ca", "verify-full")

_SSL_MODES = ("disable", "allow", "prefer", "require", *VERIFIED)
_SESSIONS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
_TLS_VERSIONS = ("TLSv1.2", "TLSv1.3")
_CHOICES = {
    "sslmode": _SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "target_session_attrs": _SESSIONS,
    "keepalives": ("0", "1"),
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "sslcompression": ("0",),
    "sslsni": ("1",),
    "load_balance_hosts": ("disable",),
    "client_encoding": ("utf8", "UTF8", "utf-8", "UTF-8", "auto"),
}
_NUMBERS = (
    *("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    "tcp_user_timeout",
)
_FILES = {
    "sslrootcert": ca_file_fault,
    "sslcert": file_fault,
    "sslkey": key_file_fault,
    "sslcrl": file_fault,
    "passfile": key_file_fault,
}
_TARGET = ("host", "port", "user", "password", "dbname")
_PLAIN = ("sslpassword", "application_name", "fallback_application_name", "options", "ssl")
PARAMETERS = (*_TARGET, *_PLAIN, *_NUMBERS, *_FILES, *_CHOICES)
# parameters that one of the three clients does not support
REFUSED = {
    "service": "write the address itself",
    "servicefile": "write the address itself",
    "hostaddr": "write the address as the host",
    "sslcrldir": "put the lists into one file: sslcrl",
    "sslcertmode": "leave it out",
    "requiressl": "sslmode=require is its name now",
    "require_auth": "what the server's pg_hba.conf asks for decides",
    "requirepeer": "use sslmode=verify-full",
    "krbsrvname": "Kerberos is not supported",
    "gsslib": "Kerberos is not supported",
    "gssdelegation": "Kerberos is not supported",
    "replication": "leave it out",
}
# parameters whose only allowed value is the default of asyncpg and psycopg2
_DEFAULTS_ONLY = ("sslcompression", "sslsni", "load_balance_hosts", "client_encoding", "ssl")


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The parts of a PostgreSQL address. `hosts` is empty for the default socket of this machine; a
    name that begins with a slash is the folder of a socket. `parameters` have libpq's names."""

    hosts: tuple[Host, ...]
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    parameters: dict[str, str] = field(repr=False)

    def keywords(self, *, application: str = APPLICATION) -> dict[str, str]:
        """Returns libpq's keywords for psycopg2.connect."""
        words = {"application_name": application} | self.parameters
        words |= {"user": self.user or "", "password": self.password or ""}
        words["dbname"] = self.database or ""
        if self.hosts:
            words["host"] = ",".join(host.name for host in self.hosts)
            words["port"] = ",".join(str(host.port or DEFAULT_PORT) for host in self.hosts)
        return {name: text for name, text in words.items() if text}

    @property
    def connect_timeout_s(self) -> float | None:
        """The timeout for each host, None where none is set. libpq's 0 means no limit: an hour
        here."""
        text = self.parameters.get("connect_timeout")
        if text is None:
            return None
        return float(text) if int(text) else 3600.0


def is_postgresql(text: str) -> bool:
    """Returns whether an address has a scheme of PostgreSQL; it may still be wrong."""
    return text.partition(":")[0].lower() in SCHEMES


def parse_database_url(text: str) -> DatabaseUrl:
    """Returns the parts of `postgresql://user:password@host:port/database?name=value`.

    Raises:
        ValueError: the address is wrong, or has a parameter that not all three clients support;
            the message holds no part of the address.
    """
    url = parse_url(text, SCHEMES, parameters=(*PARAMETERS, *REFUSED), several_hosts=True)
    parameters = dict(url.parameters)
    for name, value in parameters.items():
        if name in REFUSED:
            raise ValueError(f"has the parameter {name}: {REFUSED[name]}")
        _check(name, value)
    hosts = url.hosts if any(host.name or host.port for host in url.hosts) else ()
    if names := parameters.pop("host", ""):
        hosts = tuple(Host(name) for name in names.split(","))
    if ports := parameters.pop("port", ""):
        hosts = _with_ports(hosts, ports)
    parsed = DatabaseUrl(
        hosts=tuple(replace(host, name=host.name or "localhost") for host in hosts),
        user=parameters.pop("user", url.username),
        password=parameters.pop("password", url.password),
        database=parameters.pop("dbname", "") or url.decoded_path.strip("/") or None,
        parameters=_with_tls(parameters),
    )
    if any(not part.isprintable() for part in (parsed.user or "", parsed.database or "")):
        raise ValueError("holds a control character")
    return parsed


def replace_database(text: str, name: str) -> str:
    """Returns the address with another database."""
    parts = urlsplit(text)
    query = [part for part in parts.query.split("&") if part and not part.startswith("dbname=")]
    return parts._replace(path=f"/{name}", query="&".join(query)).geturl()


def _check(name: str, value: str) -> None:
    if not value.isprintable():
        raise ValueError(f"has a {name} with a control character")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ValueError(f"has a {name} that is not one of: {', '.join(_CHOICES[name])}")
    if name in _NUMBERS and not (value.isascii() and value.isdecimal() and len(value) < 8):
        raise ValueError(f"has a {name} that is no whole number")
    if name == "ssl" and value not in ("true", *_SSL_MODES):
        raise ValueError("has an ssl that is not true: sslmode is its name")
    if name in _FILES and (name, value) != ("sslrootcert", "system"):
        fault = _FILES[name](Path(value))
        if fault:
            raise ValueError(f"has an {name} that {fault}".replace("an passfile", "a passfile"))


def _with_ports(hosts: tuple[Host, ...], text: str) -> tuple[Host, ...]:
    ports = text.split(",")
    hosts = hosts or (Host("localhost"),)
    if not all(part.isascii() and part.isdecimal() and 1 <= int(part) <= 65535 for part in ports):
        raise ValueError("has a port that is no number from 1 to 65535")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise ValueError("has more or fewer ports than hosts")
    return tuple(replace(host, port=int(port)) for host, port in zip(hosts, ports, strict=True))


def _with_tls(parameters: dict[str, str]) -> dict[str, str]:
    """Returns the parameters in the form that all three clients accept."""
    if (short := parameters.get("ssl")) and "sslmode" not in parameters:
        parameters["sslmode"] = "require" if short == "true" else short
    if (
        name := parameters.pop("fallback_application_name", "")
    ) and "application_name" not in parameters:
        parameters["application_name"] = name
    if parameters.get("sslrootcert") == "system":
        if parameters.setdefault("sslmode", "verify-full") != "verify-full":
            raise ValueError("has sslrootcert=system, which needs sslmode=verify-full")
        # as a path: libpq supports "system" since version 16 only, and ours is bundled
        parameters["sslrootcert"] = system_authorities()
    mode = parameters.get("sslmode")
    if mode in VERIFIED and "sslrootcert" not in parameters:
        raise ValueError(f"has sslmode={mode}, which needs sslrootcert: a PEM file, or system")
    if mode not in ("require", *VERIFIED) and parameters.get("sslnegotiation") == "direct":
        raise ValueError("has sslnegotiation=direct, which needs sslmode=require or more")
    if ("sslcert" in parameters) != ("sslkey" in parameters):
        raise ValueError("has one of sslcert and sslkey, which need each other")
    if "sslcert" in parameters:
        _check_pair(parameters["sslcert"], parameters["sslkey"], parameters.get("sslpassword", ""))
    return {name: value for name, value in parameters.items() if name not in _DEFAULTS_ONLY}


def system_authorities() -> str:
    """Returns the path of the system's trusted certificate authorities."""
    paths = ssl.get_default_verify_paths()
    usual = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
    for path in (paths.cafile, *usual):
        if path and Path(path).is_file():
            return path
    raise ValueError("has sslrootcert=system, but this system has no file of authorities")


def _check_pair(cert: str, key: str, password: str) -> None:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(cert, key, password=lambda: password)
    except (ssl.SSLError, OSError, ValueError):
        raise ValueError(
            "has an sslcert and an sslkey that do not belong together, or need another sslpassword"
        ) from None
