"""Alice and Bob as actors, and the chat services. A test module takes them with
`pytest_plugins = ("tests.unit.talk_fixtures",)`.
"""

import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from genai_app.access import Actor
from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.redis.bus import Bus
from genai_app.adapters.redis.client import Entries, LimitStorage, limit_storage
from genai_app.db.database import Database
from genai_app.services.chat.chat import Chat
from genai_app.services.chat.question_files import QuestionFiles
from genai_app.services.chat.ready_answers import ReadyAnswers
from genai_app.services.chat.reasoning import Default
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.history import History
from genai_app.services.files.files import Files
from genai_app.services.generation import generations as generation
from genai_app.services.generation import remote_answers
from genai_app.services.generation.file_context import FileContext
from genai_app.services.generation.generations import Generations
from genai_app.services.generation.slots import ModelSlots
from genai_app.services.limits.rate import Limits
from genai_app.services.reuse.barred import Verdicts
from genai_app.services.reuse.cache import AnswerCache, Scope
from genai_app.services.reuse.verified import Verified
from genai_app.settings.notations import parse_limit
from genai_app.settings.settings import load_settings
from tests.fakes.model_reading import MakeLlm
from tests.fakes.services import RedisServer
from tests.unit.review_rows import SECRET
from tests.unit.talk import MakeTalk, Talk, Two, enter

pytest_plugins = ("tests.fakes.model_fixtures",)

BRISK_S = 0.03


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The background loops go round at once, so that no test waits for their pace."""
    for name in ("CHECKPOINT_S", "REAP_S", "SAVE_RETRY_S"):
        monkeypatch.setattr(generation, name, BRISK_S)
    for name in ("REMOTE_POLL_S", "RETRY_S"):
        monkeypatch.setattr(remote_answers, name, BRISK_S)
    for name in ("DRAIN_S", "SOLE_DRAIN_S"):
        monkeypatch.setattr(generation, name, 0.0)


@pytest_asyncio.fixture
async def as_alice(db: Database) -> Actor:
    """Alice, who asks."""
    return await enter(db, "alice")


@pytest_asyncio.fixture
async def as_bob(db: Database) -> Actor:
    """A stranger to Alice."""
    return await enter(db, "bob")


@pytest_asyncio.fixture
async def make_talk(
    brisk: None, db: Database, make_llm: MakeLlm, tmp_path: Path
) -> AsyncGenerator[MakeTalk]:
    """Makes processes over one database; `opened=False` has no background loops, so it saves no
    checkpoints and renews no lease."""
    made: list[Generations] = []
    opened_ready_answers: list[ReadyAnswers] = []
    lines: list[ModelSlots] = []
    entries: list[Entries] = []

    async def make(
        *,
        at: Database | None = None,
        opened: bool = True,
        sole_process: bool = False,
        context_tokens: int = 8192,
        max_tokens: int = 1024,
        system_prompt: str = "",
        reasoning: Default = "auto",
        cache_scope: Scope = "off",
        cache_ttl_s: int = 60,
        rate: str = "100000/minute",
        max_parallel: int = 0,
        storage: LimitStorage | None = None,
        llm: LlmClient | None = None,
        redis_url: str = "",
        slots: int = 1000,
        queue_timeout_s: float = 60,
        locale: str = "ru",
    ) -> Talk:
        database = at or db
        made_settings = load_settings(
            data_dir=tmp_path, secret_key=SECRET.decode(), files_free_mb=0
        )
        files = Files(database, made_settings, Cursors(SECRET), limit_storage(None))
        redis = Entries(redis_url) if redis_url else None
        if redis is not None:
            entries.append(redis)
        cache = AnswerCache(redis, scope=cache_scope, ttl_s=cache_ttl_s)
        owner = uuid.uuid4().hex
        limits = Limits(
            database,
            storage or limit_storage(None),
            dict.fromkeys(("user", "reviewer", "admin"), parse_limit(rate)),
            max_parallel=max_parallel,
            owner=owner,
        )
        llm = llm or make_llm()
        line = ModelSlots(llm.endpoints, redis_url, most=slots, timeout_s=queue_timeout_s)
        await line.open()
        lines.append(line)
        generations = Generations(
            database,
            llm,
            cache,
            line,
            owner=owner,
            sole_process=sole_process,
            bus=Bus(redis_url, owner) if redis_url else None,
        )
        made.append(generations)
        if opened:
            await generations.open()
        verified = Verified(database, Cursors(SECRET), days=180)
        verdicts = Verdicts(database, cache, verified)
        ready_answers = ReadyAnswers(cache, verified, verdicts, generations)
        if opened:
            await ready_answers.open()
            opened_ready_answers.append(ready_answers)
        chat = Chat(
            database,
            generations,
            limits,
            ready_answers,
            QuestionFiles(
                database,
                files,
                FileContext(files.contents, generations.models, SECRET, locale),
            ),
            context_tokens=context_tokens,
            max_tokens=max_tokens,
            system_prompt=system_prompt,
            reasoning=reasoning,
        )
        history = History(database, Cursors(SECRET))
        return Talk(database, generations, chat, history, limits, verified, verdicts, line, files)

    yield make
    for ready_answers in opened_ready_answers:
        await ready_answers.close()
    for generations in made:
        await generations.close()
    for line in lines:
        await line.close()
    for redis in entries:
        await redis.aclose()


@pytest_asyncio.fixture
async def two(
    database_url: str, make_talk: MakeTalk, redis_server: RedisServer
) -> AsyncGenerator[Two]:
    """Makes two processes over one database and one Redis, with what `make_talk` takes."""
    databases: list[Database] = []
    talks: list[Talk] = []

    async def make(**options: Any) -> tuple[Talk, Talk]:
        for _ in range(2):
            databases.append(Database(database_url))
            talks.append(await make_talk(at=databases[-1], redis_url=redis_server.url, **options))
        return talks[0], talks[1]

    yield make
    for talk in talks:
        await talk.generations.close()
    for database in databases:
        await database.close()


@pytest_asyncio.fixture
async def talk(make_talk: MakeTalk) -> Talk:
    return await make_talk()
