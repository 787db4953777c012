"""The product under measurement and what it needs: database, paced model, users, a dialog."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlmodel import col

from bench.measure import Meter, tree
from bench.model import markdown_pieces
from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import (
    Author,
    Channel,
    Dialog,
    Message,
    MessengerLink,
    Role,
    Source,
    User,
)
from genai_app.services.accounts.api_keys import Keys
from genai_app.services.accounts.users import Users
from tests.fakes.app_process import ROOT, AppProcess, poll
from tests.fakes.services import PostgresServer, RedisServer, free_port

PASSWORD = "bench-password-1"
HISTORY_TOKENS = 200
NO_LIMIT = "1000000/minute"  # it is counted, and never reached


class Bench:
    """A context manager: everything runs inside, nothing is left behind.

    Args:
        sqlite: the embedded database and no Redis, in place of PostgreSQL and Redis.
        workers: processes of the product.
        settings: more settings of the product, without the prefix.
    """

    def __init__(self, *, sqlite: bool = False, workers: int = 1, **settings: Any) -> None:
        self.workers = workers
        self._settings = settings
        self.database = "sqlite" if sqlite else "postgresql"
        self.model_port = free_port()
        self._sqlite = sqlite
        self._stack = ExitStack()
        self._users: dict[str, uuid.UUID] = {}
        self._keys: list[str] = []
        self._database_pids: list[int] = []
        self._redis: RedisServer | None = None

    def __enter__(self) -> Self:
        with self._stack as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genai-bench-")))
            urls: dict[str, Any] = {} if self._sqlite else self._start_databases(stack)
            self._start_model(stack)
            self._app = AppProcess(
                home,
                llm_url=f"http://127.0.0.1:{self.model_port}",
                llm_model="bench",
                workers=self.workers,
                rate_limit=NO_LIMIT,
                llm_max_concurrency=100_000,  # the line is not what is measured
                log_level="WARNING",
                **urls,
                **self._settings,
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

    @property
    def port(self) -> int:
        return self._app.port

    def meter(self, pid: int = 0) -> Meter:
        """What the product and its databases cost from now on, or another process."""
        if pid in (0, self.product_pid):
            return Meter(self.product_pid, *self._database_pids)
        return Meter(pid)

    async def operations(self) -> tuple[int, int]:
        """Commands that Redis has done, and transactions that PostgreSQL has ended, so far; zeros
        without them. PostgreSQL tells a second late."""
        if self._redis is None:
            return 0, 0
        told = await asyncio.to_thread(self._redis.command, "INFO", "stats")
        commands = int(told.partition("total_commands_processed:")[2].split()[0])
        async with self._db.read() as session:
            query = (
                "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'bench'"
            )
            return commands, await session.scalar(sa.text(query)) or 0

    def start_thin(self) -> tuple[int, int]:
        """The thin proxy before the same model. Returns its port and process."""
        port = free_port()
        model = ("--model", f"http://127.0.0.1:{self.model_port}")
        pid = self._start_helper(self._stack, "bench.thin", port, *model, path="/openapi.json")
        return port, pid

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

    def kill_and_start(self) -> None:
        """SIGKILL, and start it again until /readyz is 200."""
        self._app.kill()
        self._start_app()
        self._app.wait_ready()

    async def link_phones(self, messenger: str, phones: Sequence[int]) -> None:
        """Links accounts of a messenger, each with a user of its own."""
        async with self._db.write() as session:
            for phone in phones:
                user = User(username=f"phone{phone}")
                session.add(user)
                await session.flush()
                link = MessengerLink(user_id=user.id, messenger=messenger, external_id=str(phone))
                session.add(link)

    async def questions(self, channel: Channel) -> list[str]:
        """All questions that came by a channel."""
        query = sa.select(col(Message.text)).where(
            col(Message.channel) == channel, col(Message.author) == Author.USER
        )
        async with self._db.read() as session:
            return list(await session.scalars(query))

    async def users(self, count: int) -> list[str]:
        """The names of `count` accounts with PASSWORD."""
        accounts = Users(self._db)
        while len(self._users) < count:
            name = f"reader{len(self._users)}"
            self._users[name] = (await accounts.add(name, PASSWORD)).id
        return list(self._users)[:count]

    async def keys(self, count: int) -> list[str]:
        """API keys, each of a user of its own."""
        keys = Keys(self._db, self._secret())
        for name in (await self.users(count))[len(self._keys) :]:
            actor = Actor(self._users[name], name, "", Role.USER, Channel.API)
            self._keys.append((await keys.create(actor, "bench"))[1])
        return self._keys[:count]

    async def add_dialog(self, username: str, answers: int, text: str = "") -> uuid.UUID:
        """Saves a dialog of a user with so many answers of that text, by default of ordinary
        Markdown. Returns its id."""
        text = text or "".join(markdown_pieces("en")[:HISTORY_TOKENS])
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

    def _secret(self) -> bytes:
        given = self._app.settings.get("secret_key")
        return (given or (self._app.data_dir / "secret.key").read_text().strip()).encode()

    def _start_app(self) -> None:
        self.product_pid = _started(self._app.start)

    def _start_databases(self, stack: ExitStack) -> dict[str, str]:
        """Their addresses, as settings."""
        postgres = PostgresServer()
        stack.callback(postgres.remove)
        redis = self._redis = RedisServer()
        stack.callback(redis.remove)
        self._database_pids = [_started(postgres.start), _started(redis.start)]
        return {"database_url": postgres.create_database("bench"), "redis_url": redis.url}

    def _start_model(self, stack: ExitStack) -> None:
        self.model_pid = self._start_helper(stack, "bench.model", self.model_port, path="/counters")

    def _start_helper(self, stack: ExitStack, module: str, port: int, *more: str, path: str) -> int:
        """A server of the bench that ends with it. Returns its process once `path` answers."""
        dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"]
        command = [*dies_with_us, sys.executable, "-m", module, "--port", str(port), *more]
        process = subprocess.Popen(command, cwd=ROOT)
        stack.callback(process.wait)
        stack.callback(process.terminate)

        def answers() -> bool:
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").status == 200
            except OSError:
                return False

        if not poll(answers):
            raise RuntimeError(f"{module} did not start")
        return process.pid


def _started(start: Callable[[], None]) -> int:
    """The process that `start()` added to this one's children."""
    before = set(tree(os.getpid()))
    start()
    after = [pid for pid in tree(os.getpid()) if pid not in before]
    return after[0]
