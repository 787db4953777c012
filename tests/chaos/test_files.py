"""Files under SIGKILL: nothing half, nothing orphaned after a start, and what was taken is read."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tests.cast import PASSWORDS
from tests.conftest import StartApp
from tests.fakes.api_client import client_of, new_token
from tests.fakes.app_process import eventually

pytestmark = pytest.mark.fault

FILES = 12
LINES = 60_000  # some time is needed to read them


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_kill_in_mid_upload_and_mid_reading(engine: str, start_app: StartApp) -> None:
    app = start_app(engine)
    api = client_of(app, await new_token(app, "alice", PASSWORDS["alice"]))
    ids: set[str] = set()
    for number in range(FILES):
        content = f"строка {number}\n".encode() * LINES
        sent = await api.post("/files", files={"file": (f"{number}.txt", content)})
        ids.add(sent.json()["id"])
    parts = app.data_dir / "files" / "parts"

    async def endless() -> AsyncGenerator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while True:
            yield b"half" * 10_000
            await asyncio.sleep(0.01)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    sending = asyncio.create_task(api.post("/files", content=endless(), headers=headers))

    async def both_are_under_way() -> bool:
        states = [each["state"] for each in (await api.get("/files")).json()["items"]]
        halves = [each for each in parts.iterdir() if each.stat().st_size]
        return "reading" in states and bool(halves)

    await eventually(both_are_under_way)
    app.kill()
    await asyncio.gather(sending, return_exceptions=True)
    assert list(parts.iterdir()) != []
    app.restart()
    again = client_of(app, await new_token(app, "alice", PASSWORDS["alice"]))

    async def all_are_read() -> bool:
        items = (await again.get("/files")).json()["items"]
        assert {each["id"] for each in items} == ids
        return {each["state"] for each in items} == {"ready"}

    await eventually(all_are_read, within_s=120)

    async def nothing_is_left() -> bool:
        return list(parts.iterdir()) == []

    await eventually(nothing_is_left)
    (user,) = [each for each in parts.parent.iterdir() if each != parts]
    assert {each.name for each in user.iterdir()} == {each.replace("-", "") for each in ids}
    for folder in user.iterdir():
        assert {each.name for each in folder.iterdir()} == {"content", "reading"}
    for each in (api, again):
        await each.aclose()
