"""`/me`: who I am, and my own instructions."""

from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import User
from genai_app.services.generation.context import OWN_HEADING
from tests.conftest import OpenApi
from tests.fakes.api_client import checked_error, client_of
from tests.fakes.app_process import AppProcess
from tests.fakes.log_lines import LogMark
from tests.fakes.model_server import ModelServer

WISH = "Отвечай одним словом: canary-instructions"


async def test_instructions_over_the_api(
    open_api: OpenApi, app: AppProcess, app_db: Database, model: ModelServer
) -> None:
    """Read and changed with a login or a key; in the next question of every channel."""
    api = await open_api()
    log = LogMark(app)
    mine = (await api.get("/me")).json()
    assert mine["instructions"] == ""
    changed = await api.patch("/me", json={"instructions": f" {WISH} "})
    assert (changed.status_code, changed.json()) == (200, {**mine, "instructions": WISH})
    assert (await api.patch("/me", json={})).json()["instructions"] == WISH
    key = (await api.post("/me/keys", json={"name": "k"})).json()["key"]
    by_key = client_of(app, key)
    assert (await by_key.get("/me")).json()["instructions"] == WISH

    asked = await by_key.post("/ask", json={"prompt": "q"})
    assert asked.status_code == 200
    wishes = f"{OWN_HEADING}\n{WISH}"
    assert model.answers[-1].messages[0]["content"].endswith(wishes)
    named = (await by_key.get("/v1/models")).json()["data"][0]["id"]
    chat: dict[str, Any] = {
        "model": named,
        "messages": [{"role": "user", "content": "q of a program"}],
    }
    assert (await by_key.post("/v1/chat/completions", json=chat)).status_code == 200
    assert model.answers[-1].messages[0]["content"].endswith(wishes)
    chat["messages"].insert(0, {"role": "system", "content": "Only JSON."})
    assert (await by_key.post("/v1/chat/completions", json=chat)).status_code == 200
    assert "canary" not in str(model.answers[-1].messages)

    long = checked_error(await api.patch("/me", json={"instructions": "я" * 1501}), 422)
    assert (long["code"], long["param"]) == ("instructions_too_long", "instructions")
    assert "1500" in long["message"]
    for wrong in ({"instructions": 1}, {"instructions": ["x"]}, {"role": "admin"}):
        checked_error(await api.patch("/me", json=wrong), 422)
    async with client_of(app) as nobody:
        checked_error(await nobody.patch("/me", json={"instructions": "x"}), 401)
    async with app_db.read() as session:
        others = await session.scalars(
            sa.select(col(User.id)).where(
                col(User.instructions) != "", col(User.username) != mine["username"]
            )
        )
    assert others.all() == []
    assert (await by_key.patch("/me", json={"instructions": ""})).json()["instructions"] == ""
    assert "canary-instructions" not in log.text()
    await by_key.aclose()
