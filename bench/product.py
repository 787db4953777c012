"""The product under measurement and what it needs: database, paced model, users, a dialog."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.measure import tree
from bench.model import markdown_pieces
from genai_app import clock
from genai_app.db import Database
from genai_app.models import Author, Dialog, Message, Source
from genai_app.services.users import Users
from tests.fakes.app_process import ROOT, AppProcess, poll
from tests.fakes.services import PostgresServer, free_port

PASSWORD = "bench-password-1"
HISTORY_TOKENS = 200


class Bench:
    """A context manager: everything runs inside, nothing is left behind.

    Args:
        sqlite: the embedded database in place of PostgreSQL.
    """

    def __init__(self, *, sqlite: bool = False) -> None:
        self.database = "sqlite" if sqlite else "postgresql"
        self.model_port = free_port()
        self.database_pid: int | None = None
        self._sqlite = sqlite
        self._stack = ExitStack()
        self._users: dict[str, uuid.UUID] = {}

    def __enter__(self) -> Self:
        with self._stack as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genai-bench-")))
            database_url = "" if self._sqlite else self._start_postgres(stack)
            self._start_model(stack)
            self._app = AppProcess(
                home,
                llm_url=f"http://127.0.0.1:{self.model_port}",
                database_url=database_url,
                llm_model="bench",
                log_level="WARNING",
            )
            stack.callback(self._app.kill)
            self._start_app()
            self._app.wait_ready()
            self._db = Database(self._app.database_url)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return self._app.url

    def log_text(self) -> str:
        """What the product logged; it logs warnings and errors only."""
        return self._app.log_text()

    def restart_s(self) -> float:
        """Stop it, start it again, and how long that takes until /readyz is 200."""
        self._app.stop()
        begin = time.monotonic()
        self._start_app()
        self._app.wait_ready()
        return time.monotonic() - begin

    async def users(self, count: int) -> list[str]:
        """The names of `count` accounts with PASSWORD."""
        accounts = Users(self._db)
        while len(self._users) < count:
            name = f"reader{len(self._users)}"
            self._users[name] = (await accounts.add(name, PASSWORD)).id
        return list(self._users)[:count]

    async def add_dialog(self, username: str, answers: int) -> uuid.UUID:
        """A saved dialog of a user with so many Markdown answers. Returns its id."""
        text = "".join(markdown_pieces("en")[:HISTORY_TOKENS])
        async with self._db.write() as session:
            user_id = self._users[username]
            dialog = Dialog(user_id=user_id, title="Backups")
            session.add(dialog)
            await session.flush()
            parent = None
            for number in range(answers * 2):
                asks, moment = number % 2 == 0, clock.now()
                message = Message(
                    dialog_id=dialog.id,
                    user_id=user_id,
                    parent_id=parent,
                    depth=number,
                    author=Author.USER if asks else Author.ASSISTANT,
                    text=f"Question {number // 2 + 1}" if asks else text,
                    source=None if asks else Source.MODEL,
                    created_at=moment,
                    finished_at=None if asks else moment,
                )
                session.add(message)
                await session.flush()
                parent = message.id
            dialog.leaf_id = parent
        return dialog.id

    async def aclose(self) -> None:
        """Close this side's connections to the database."""
        await self._db.close()

    def _start_app(self) -> None:
        self.product_pid = _started(self._app.start)

    def _start_postgres(self, stack: ExitStack) -> str:
        server = PostgresServer()
        stack.callback(server.remove)
        self.database_pid = _started(server.start)
        return server.create_database("bench")

    def _start_model(self, stack: ExitStack) -> None:
        dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"]
        model = [sys.executable, "-m", "bench.model", "--port", str(self.model_port)]
        process = subprocess.Popen([*dies_with_us, *model], cwd=ROOT)
        stack.callback(process.wait)
        stack.callback(process.terminate)

        def answers() -> bool:
            try:
                url = f"http://127.0.0.1:{self.model_port}/counters"
                return urllib.request.urlopen(url, timeout=2).status == 200
            except OSError:
                return False

        if not poll(answers):
            raise RuntimeError("the paced model did not start")


def _started(start: Callable[[], None]) -> int:
    """The process that `start()` added to this one's children."""
    before = set(tree(os.getpid()))
    start()
    after = [pid for pid in tree(os.getpid()) if pid not in before]
    return after[0]
