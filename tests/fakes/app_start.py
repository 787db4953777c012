"""How the fixtures `start_app` and `start_once` start products with the cast in them."""

import shutil
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.app_process import AppProcess
from tests.fakes.services import PostgresServer


@contextmanager
def starter(
    request: pytest.FixtureRequest, home: Path, model_url: str
) -> Generator[Callable[..., AppProcess]]:
    """A function that starts one, each in a folder of `home`. All end with the block."""
    with ExitStack() as running:

        def start(engine: str = "sqlite", *, llm_url: str = "", **more: object) -> AppProcess:
            url = str(more.pop("database_url", ""))
            if engine == "postgresql" and not url:
                template: str = request.getfixturevalue("postgres_with_cast")
                server: PostgresServer = request.getfixturevalue("postgres")
                name = f"app_{uuid.uuid4().hex}"
                url = server.create_database(name, template=template)
                running.callback(server.drop_database, name)
            options: dict[str, Any] = {"llm_url": llm_url or model_url, "database_url": url, **more}
            process = AppProcess(home / uuid.uuid4().hex, **options)
            if engine == "sqlite":
                path: Path = request.getfixturevalue("sqlite_with_cast")
                shutil.copy(path, process.data_dir / "genai.sqlite3")
            return running.enter_context(process)

        yield start
