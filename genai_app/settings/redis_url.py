"""Parses addresses of Redis. Only parameters that redis-py supports are accepted: it passes all of
them to its connection unchecked."""

import re
from pathlib import Path

from genai_app.settings.file_faults import ca_file_fault, file_fault
from genai_app.settings.urls import Url, parse_url

SCHEMES = ("redis", "rediss", "unix")
WHOLE = re.compile(r"\d{1,9}")
_YES_OR_NO = ("true", "false", "yes", "no", "1", "0")
_CHOICES = {
    "protocol": ("2", "3"),
    "ssl_cert_reqs": ("required", "optional", "none"),
    "ssl_check_hostname": _YES_OR_NO,
    "socket_keepalive": _YES_OR_NO,
}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_PLAIN = ("username", "password", "client_name", "ssl_password")
PARAMETERS = ("db", "health_check_interval", *_CHOICES, *_FILES, *_PLAIN)


def parse_redis_url(text: str) -> Url:
    """Returns `redis://`, `rediss://` (TLS) or `unix://` in parts.

    Raises:
        ValueError: the address is wrong; the message holds no part of it.
    """
    url = parse_url(text, SCHEMES, parameters=PARAMETERS)
    if url.scheme == "unix":
        if not url.path.startswith("/"):
            raise ValueError("must look like unix:///path/of/the/socket?db=0")
    elif not re.fullmatch(r"/?|/\d{1,9}/?", url.path):
        raise ValueError("must look like redis://host:port/0: behind the host stands a number")
    for name, value in url.parameters.items():
        _check(name, value)
    tls = [name for name in url.parameters if name.startswith("ssl_")]
    if tls and url.scheme != "rediss":
        raise ValueError(f"has {tls[0]}, which needs rediss://")
    return url


def _check(name: str, value: str) -> None:
    if name in ("db", "health_check_interval") and not WHOLE.fullmatch(value):
        raise ValueError(f"has a {name} that is no number")
    if name in _CHOICES and value.lower() not in _CHOICES[name]:
        raise ValueError(f"has a {name} that is none of {', '.join(_CHOICES[name])}")
    if name in _FILES:
        fault = ca_file_fault if name == "ssl_ca_certs" else file_fault
        if wrong := fault(Path(value)):
            raise ValueError(f"has a {name} that {wrong}")
