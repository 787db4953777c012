"""An import under SIGKILL: N6, and nothing twice."""

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import Channel, Dialog, Message
from tests.cast import PASSWORDS
from tests.conftest import StartApp
from tests.fakes.api_client import client_of, new_token
from tests.fakes.app_process import eventually
from tests.unit.importing import as_json, plain

pytestmark = pytest.mark.fault

DIALOGS = 600


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_kill_in_mid_import(engine: str, start_app: StartApp) -> None:
    """The next process goes on: every dialog is there once and whole, and the result is right."""
    app = start_app(engine)
    db = Database(app.database_url)
    api = client_of(app, await new_token(app, "alice", PASSWORDS["alice"]))
    content = as_json(*(plain(number, "вопрос " * 20, "ответ " * 50) for number in range(DIALOGS)))
    started = await api.post("/imports", files={"file": ("x.json", content)})
    key = started.json()["id"]

    async def count(rows: type[Dialog | Message]) -> int:
        query = sa.select(sa.func.count()).select_from(rows)
        if rows is Message:
            query = query.where(col(Message.channel) == Channel.IMPORT)
        async with db.read() as session:
            return await session.scalar(query) or 0

    async def under_way() -> bool:
        assert (await api.get(f"/imports/{key}")).json()["state"] in ("queued", "running")
        return 0 < await count(Dialog) < DIALOGS

    await eventually(under_way)
    app.kill()
    (left,) = (app.data_dir / "imports").iterdir()
    assert left.stat().st_mode & 0o777 == 0o600
    app.restart()
    again = client_of(app, await new_token(app, "alice", PASSWORDS["alice"]))

    async def done() -> bool:
        state = (await again.get(f"/imports/{key}")).json()["state"]
        assert state in ("queued", "running", "done")
        return state == "done"

    await eventually(done, within_s=120)
    result = (await again.get(f"/imports/{key}")).json()["result"]
    assert (result["imported"], result["messages"], result["repeated"]) == (DIALOGS, 2 * DIALOGS, 0)
    assert (await count(Dialog), await count(Message)) == (DIALOGS, 2 * DIALOGS)
    assert list((app.data_dir / "imports").iterdir()) == []
    await db.close()
    for each in (api, again):
        await each.aclose()
