"""The host names of the product. Another name in `Host` is a foreign domain that points at this
server (DNS rebinding), or is forged and would get into links and caches."""

from starlette.types import Scope

from genai_app.services import services
from genai_app.settings.urls import LOOPBACK, parse_url

# monitoring and orchestrators use any address of the process
BY_ANY_NAME = ("/healthz", "/readyz", "/metrics")


def names_own_host(scope: Scope) -> bool:
    """Returns whether the Host header is the host of GENAI_PUBLIC_URL, a loopback name or
    GENAI_HOST.

    The port is not compared, since proxies and tunnels have their own.
    """
    if scope["path"] in BY_ANY_NAME:
        return True
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    return len(hosts) == 1 and _name(hosts[0].decode("latin-1")) in own_hosts()


def own_hosts() -> frozenset[str]:
    """Returns the product's names and addresses, in lower case, without brackets and ports."""
    settings = services().settings
    return frozenset({*LOOPBACK, settings.host.lower(), _name(settings.url.partition("://")[2])})


def _name(host: str) -> str:
    try:
        url = parse_url(f"http://{host}", ("http",))
    except ValueError:
        return ""
    return "" if url.path or url.username is not None else url.host.name.lower().rstrip(".")
