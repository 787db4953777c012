"""`genai doctor`: independent checks of everything that the product depends on, run at once."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from threading import Thread
from typing import Any
from urllib.parse import unquote

import structlog
from pydantic import SecretStr

from genai_app.adapters.findings import FactValue
from genai_app.services.doctor import local, servers
from genai_app.services.doctor.bots import check_messengers
from genai_app.services.doctor.files import check_files
from genai_app.services.doctor.findings import (
    CheckName,
    DoctorCause,
    FactName,
    Finding,
    facts_of,
    failed,
    problem_of,
    remedy_of,
    title_of,
)
from genai_app.services.doctor.local import Installation
from genai_app.services.doctor.stored_files import check_stored_files
from genai_app.settings.settings import Settings

__all__ = [
    "Finding",
    "Installation",
    "examine",
    "facts_of",
    "problem_of",
    "remedy_of",
    "title_of",
]

log = structlog.stdlib.get_logger(__name__)

MASK = "***"
LOCAL_S = 10.0
FILES_S = 30.0
DATABASE_S = 15.0
DIRECTORY_S = 40.0  # the check of one controller takes 30 at most
NETWORK_S = 20.0

Check = Callable[[], Awaitable[list[Finding]]]


async def examine(settings: Settings, installation: Installation) -> AsyncGenerator[Finding]:
    """Yields the findings in the order of CheckName. All checks run at once, each under its
    deadline; none stops another."""
    model_s = settings.llm_first_token_timeout_s + 3 * settings.llm_connect_timeout_s

    def in_thread(work: Callable[[], list[Finding]]) -> Check:
        return lambda: _in_thread(work)

    checks: dict[CheckName, tuple[Check, float]] = {
        CheckName.SETTINGS: (in_thread(lambda: local.check_settings(settings)), LOCAL_S),
        CheckName.FRONT_END: (in_thread(lambda: local.check_front_end(installation)), LOCAL_S),
        CheckName.DATA_DIR: (in_thread(lambda: local.check_data_dir(settings)), LOCAL_S),
        CheckName.DISK: (in_thread(lambda: local.check_disk(settings)), LOCAL_S),
        CheckName.STORED_FILES: (lambda: check_stored_files(settings), FILES_S),
        CheckName.DATABASE: (lambda: servers.check_database(settings), DATABASE_S),
        CheckName.MIGRATIONS: (
            in_thread(lambda: servers.check_migrations(settings, installation)),
            DATABASE_S,
        ),
        CheckName.REDIS: (lambda: servers.check_redis(settings), NETWORK_S),
        CheckName.DIRECTORY: (lambda: servers.check_directory(settings), DIRECTORY_S),
        CheckName.MODEL: (lambda: servers.check_models(settings), model_s),
        CheckName.CERTIFICATE: (in_thread(lambda: servers.check_certificate(settings)), NETWORK_S),
        CheckName.CLOCK: (lambda: servers.check_clock(settings), NETWORK_S),
        CheckName.MESSENGERS: (lambda: check_messengers(settings), NETWORK_S),
        CheckName.FILES: (check_files, LOCAL_S),
        CheckName.BACKUP: (in_thread(lambda: local.check_backup(settings)), LOCAL_S),
    }
    secrets = _secrets(settings)
    tasks = [
        asyncio.create_task(_bounded(name, check, deadline_s), name=f"doctor {name}")
        for name, (check, deadline_s) in checks.items()
    ]
    try:
        for task in tasks:
            for finding in await task:
                yield _masked(finding, secrets)
    finally:
        for task in tasks:
            task.cancel()


async def _bounded(name: CheckName, check: Check, deadline_s: float) -> list[Finding]:
    """Runs a check. Returns a failure for one that takes too long or raises."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(deadline_s):
            findings = await check()
    except TimeoutError:
        findings = [failed(name, DoctorCause.CHECK_SLOW)]
    except Exception as error:  # a bug in one check must not stop the others
        log.debug("doctor.bug", check=name, exc_info=True)
        findings = [
            failed(name, DoctorCause.CHECK_BROKE, facts={FactName.DETAIL: type(error).__name__})
        ]
    seconds = time.monotonic() - began
    return [each if each.seconds else replace(each, seconds=seconds) for each in findings]


async def _in_thread(work: Callable[[], list[Finding]]) -> list[Finding]:
    """Runs `work` in a daemon thread, so that a dead disk does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[Finding]] = loop.create_future()

    def set_unless_done(setter: Callable[[Any], None], value: object) -> None:
        if not future.done():
            setter(value)

    def run() -> None:
        try:
            setter, value = future.set_result, work()
        except Exception as error:
            setter, value = future.set_exception, error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(set_unless_done, setter, value)

    Thread(target=run, daemon=True).start()
    return await future


def _secrets(settings: Settings) -> list[str]:
    """Returns the passwords that must be hidden in messages of servers."""
    secrets: list[str] = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            secrets.append(value.get_secret_value())
    secrets += [part for text in [*secrets, *settings.llm_base_url] for part in _passwords(text)]
    return [text for text in secrets if text]


def _passwords(text: str) -> list[str]:
    """Returns the password in a URL, as it is written and decoded; [] without one."""
    match = re.match(r"\w+://[^:/?#@]*:([^/?#@]+)@", text)
    return [match[1], unquote(match[1])] if match else []


def _masked(finding: Finding, secrets: list[str]) -> Finding:
    def clean(value: FactValue) -> FactValue:
        if isinstance(value, str):
            for secret in secrets:
                value = value.replace(secret, MASK)
        return value

    return replace(finding, facts={name: clean(value) for name, value in finding.facts.items()})
