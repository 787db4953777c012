"""Addresses of a PostgreSQL that takes TLS alone."""

from pathlib import Path
from urllib.parse import quote

from tests.fakes.certificates import Authority, Certificate
from tests.fakes.services import PostgresServer

Place = tuple[PostgresServer, Path, Authority, Certificate]


def address_of(place: Place, **parameters: object) -> str:
    """The address with these parameters; `ca`, `other`, `cert` and `key` stand for the files."""
    server, folder, authority, client = place
    known: dict[str, object] = {
        "ca": authority.ca_file,
        "other": folder / "other" / "ca.pem",
        "cert": client.cert,
        "key": client.key,
    }
    user, host = parameters.pop("user", "postgres"), parameters.pop("host", "127.0.0.1")
    query = "&".join(
        f"{name}={quote(str(known.get(str(value), value)), safe='')}"
        for name, value in parameters.items()
    )
    return f"postgres://{user}@{host}:{server.port}/genai?{query}"
