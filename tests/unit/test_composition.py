"""The services open in order and close in the reverse one, whatever fails."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genai_app import composition, migrations
from genai_app.composition import running_services
from genai_app.db.database import Database
from genai_app.services import services
from genai_app.services.exports.jobs import ExportJobs
from genai_app.services.generation.generations import Generations
from genai_app.settings.settings import Settings
from tests.cast import PASSWORDS
from tests.fakes.model_server import ModelServer


@pytest.fixture
def chosen(settings: Callable[..., Settings], tmp_path: Path, model: ModelServer) -> Settings:
    """Settings of a product on SQLite whose tables are there."""
    made = settings(llm_base_url=model.url, admin_password=PASSWORDS["carol"])
    (tmp_path / "data").mkdir()
    migrations.upgrade(made.sqlalchemy_url)
    return made


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was closed, in order."""
    order: list[str] = []
    # it would change the collector of the whole test run
    monkeypatch.setattr(composition, "_settle_garbage_collector", lambda: None)
    for kind in (ExportJobs, Generations, Database):
        close = kind.close

        async def noted(self: Any, close: Any = close, name: str = kind.__name__) -> None:
            order.append(name)
            await close(self)

        monkeypatch.setattr(kind, "close", noted)
    return order


async def test_they_close_in_the_reverse_order(chosen: Settings, closed: list[str]) -> None:
    tasks = asyncio.all_tasks()
    async with running_services(chosen) as opened:
        assert services() is opened
        assert await opened.users.list_all()
    assert closed == ["ExportJobs", "Generations", "Database"]
    assert asyncio.all_tasks() == tasks
    with pytest.raises(RuntimeError):
        services()


async def test_what_was_opened_is_closed_when_a_late_one_fails(
    chosen: Settings, closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: ExportJobs) -> None:
        raise OSError("no room")

    monkeypatch.setattr(ExportJobs, "open", fail)
    tasks = asyncio.all_tasks()
    with pytest.raises(OSError, match="no room"):
        async with running_services(chosen):
            pytest.fail("it must not run")
    assert closed == ["ExportJobs", "Generations", "Database"]
    assert asyncio.all_tasks() == tasks
    with pytest.raises(RuntimeError):
        services()
