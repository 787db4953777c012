"""The product answers under its own names alone."""

import pytest

from genai_app.settings.urls import parse_url
from tests.fakes.api_client import checked_error, client_of
from tests.fakes.app_process import AppProcess

FOREIGN = (
    *("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.example"),
    *("10.0.0.7", "[2001:db8::1]", "user@localhost", "localhost@evil.example", "", "a b"),
)


@pytest.mark.parametrize("path", ["/", "/login", "/me", "/v1/models", "/docs", "/assets/x.js"])
async def test_foreign_hosts_are_refused(app: AppProcess, path: str) -> None:
    async with client_of(app) as client:
        for host in FOREIGN:
            answer = await client.get(path, headers={"host": host})
            checked_error(answer, 421, "misdirected")
            assert "evil" not in answer.text + str(answer.headers)
        answer = await client.post("/token", headers={"host": "evil.example"}, json={})
        checked_error(answer, 421, "misdirected")


async def test_own_names_are_served(app: AppProcess) -> None:
    """Under any port: proxies and tunnels have their own."""
    port = parse_url(app.url, ("http",)).host.port
    async with client_of(app) as client:
        for host in ("localhost", f"LOCALHOST:{port}", "127.0.0.1:1", "[::1]", "localhost."):
            assert (await client.get("/login", headers={"host": host})).status_code == 200, host


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_orchestrators_ask_at_any_address(app: AppProcess, path: str) -> None:
    async with client_of(app) as client:
        answer = await client.get(path, headers={"host": "10.1.2.3:8000"})
        assert answer.status_code != 421
