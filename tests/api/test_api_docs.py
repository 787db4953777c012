"""Who may read the description of the API: GENAI_API_DOCS."""

import httpx
import pytest

from tests.cast import PASSWORDS
from tests.conftest import OpenApi, StartApp
from tests.fakes.api_client import checked_error
from tests.fakes.app_process import AppProcess

PATHS = ("/docs", "/openapi.json", "/docs/start.js", "/docs/swagger-ui.css")


async def test_open_on_localhost(app: AppProcess) -> None:
    async with httpx.AsyncClient(base_url=app.url) as client:
        for path in PATHS:
            assert (await client.get(path)).status_code == 200, path
        assert "/ask" in (await client.get("/openapi.json")).json()["paths"]


@pytest.mark.parametrize(
    "settings", [{"public_url": "https://chat.corp.example"}, {"api_docs": "login"}]
)
async def test_elsewhere_a_login_opens_it(
    settings: dict[str, str], start_app: StartApp, open_api: OpenApi
) -> None:
    """A bearer, a key, or the cookie of a login; nobody else, and no page of another site."""
    app = start_app(**settings)
    alice = await open_api("alice", at=app)
    key = (await alice.post("/me/keys", json={"name": "docs"})).json()["key"]
    async with httpx.AsyncClient(base_url=app.url) as client:
        for path in PATHS:
            checked_error(await client.get(path), 401, "not_authenticated")
        wrong = await client.get("/docs", headers={"authorization": f"Bearer {key}x"})
        checked_error(wrong, 401)
        for path in PATHS:
            assert (await alice.get(path)).status_code == 200, path
            headers = {"authorization": f"Bearer {key}"}
            assert (await client.get(path, headers=headers)).status_code == 200, path
        form = {"username": "alice", "password": PASSWORDS["alice"]}
        answer = await client.post("/login", data=form)
        cookie = answer.headers["set-cookie"].partition(";")[0]
        for path in PATHS:
            assert (await client.get(path, headers={"cookie": cookie})).status_code == 200, path
        foreign = {"cookie": cookie, "sec-fetch-site": "cross-site"}
        checked_error(await client.get("/openapi.json", headers=foreign), 401)


async def test_off_is_no_page_for_anybody(start_app: StartApp, open_api: OpenApi) -> None:
    app = start_app(api_docs="off")
    carol = await open_api("carol", at=app)
    for path in PATHS:
        checked_error(await carol.get(path), 404, "not_found")
