"""Tokens of bots and passwords of proxies are in no log: at any level, of any library, in any
trace."""

import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
import structlog
from pydantic import SecretStr

from genai_app import log
from genai_app.adapters.mattermost.client import MattermostMessenger
from genai_app.adapters.messenger import Messenger, MessengerError
from genai_app.adapters.telegram.bot import TelegramMessenger
from genai_app.settings.settings import Settings
from tests.fakes import mattermost_server, telegram_server
from tests.fakes.services import free_port

LIBRARIES = ("httpx", "httpcore", "httpcore.connection", "telegram", "aiohttp", "aiohttp.client")
LIBRARIES += ("asyncio", "telegram.Bot", "telegram.request", "telegram.ext")
PROXY_PASSWORD = "canary-of-the-proxy"
SECRETS = (
    telegram_server.TOKEN.partition(":")[2],
    mattermost_server.TOKEN,
    PROXY_PASSWORD,
)

MakeSettings = Callable[..., Settings]
ReadLog = Callable[[], str]


@pytest.fixture
def log_text(
    settings: MakeSettings,
    capsys: pytest.CaptureFixture[str],
    clean_logging: None,
) -> ReadLog:
    """All that was logged, by libraries too, at the lowest level."""
    log.configure(settings(log_format="json", log_level="DEBUG"))
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.DEBUG)
    return lambda: "".join(capsys.readouterr())


@pytest_asyncio.fixture
async def make_bot(settings: MakeSettings) -> AsyncGenerator[Callable[..., Messenger]]:
    made: list[Messenger] = []

    def make(**options: Any) -> Messenger:
        kind = TelegramMessenger if "telegram_token" in options else MattermostMessenger
        made.append(kind(settings(**options)))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def use(bot: Messenger) -> list[BaseException]:
    """Calls each method that reaches the messenger. Returns what failed."""
    failures: list[BaseException] = []
    calls = (
        lambda: bot.account(),
        lambda: bot.receive(""),
        lambda: bot.introduce({"en": {"help": "x"}}),
        lambda: bot.send("1", "text"),
        lambda: bot.edit("1", "2", "text"),
        lambda: bot.acknowledge("1"),
        lambda: bot.leave("1"),
    )
    for call in calls:
        try:
            await call()
        except MessengerError as error:
            structlog.stdlib.get_logger("genai_app.test").exception("messenger.bug")
            logging.getLogger("httpx").debug("failed", exc_info=True)
            failures.append(error)
    return failures


@pytest.mark.parametrize("trouble", ["none", "refused", "away", "proxy"])
async def test_telegram(
    make_bot: Callable[..., Messenger], log_text: ReadLog, trouble: str
) -> None:
    with telegram_server.TelegramServer() as server:
        url = server.url
        options: dict[str, Any] = {"telegram_external": True}
        if trouble == "refused":
            server.says("x")
            for method in ("getMe", "getUpdates", "sendMessage", "editMessageText"):
                server.fails(method, 502, f"bad {telegram_server.TOKEN}")
        elif trouble == "away":
            url = f"http://127.0.0.1:{free_port()}"
        elif trouble == "proxy":
            proxy = f"http://user:{PROXY_PASSWORD}@127.0.0.1:{free_port()}"
            options["telegram_proxy"] = SecretStr(proxy)
        server.says("x")
        token = SecretStr(telegram_server.TOKEN)
        bot = make_bot(telegram_token=token, telegram_api_url=url, **options)
        failures = await use(bot)
    assert failures or trouble == "none"
    check(log_text(), failures)


@pytest.mark.parametrize("trouble", ["none", "refused", "away"])
async def test_mattermost(
    make_bot: Callable[..., Messenger], log_text: ReadLog, trouble: str
) -> None:
    with mattermost_server.FakeMattermost() as server:
        url = f"http://127.0.0.1:{free_port()}" if trouble == "away" else server.url
        if trouble == "refused":
            server.fail_next(502, 50)
        bot = make_bot(mattermost_url=url, mattermost_token=SecretStr(mattermost_server.TOKEN))
        failures = await use(bot)
    check(log_text(), failures)


def check(text: str, failures: list[BaseException]) -> None:
    """Something was logged, and no secret in it; nor is one in an error or in what it hides."""
    assert '"level": "debug"' in text
    seen = text + "".join(map(repr, failures))
    for error in failures:
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        seen += repr(cause)
    for secret in SECRETS:
        assert secret not in seen


@pytest.mark.parametrize("written", [str, quote, repr, json.dumps])
def test_an_address_with_a_token(log_text: ReadLog, written: Callable[[str], str]) -> None:
    """However the address is written, by whomever."""
    address = f"https://api.telegram.org/bot{telegram_server.TOKEN}/getUpdates"
    with suppress(RuntimeError):
        try:
            raise RuntimeError(written(address))
        except RuntimeError:
            logging.getLogger("httpx").exception("HTTP Request: POST %s", httpx.URL(address))
            raise
    logging.getLogger("httpcore").warning("target=%r", quote(address, safe="").encode())
    text = log_text()
    assert "HTTP Request" in text
    for secret in SECRETS:
        assert secret not in text
