"""Checks of `genai doctor` that connect to servers: database, Redis, directory, models, the public
address, clocks."""

import asyncio
import ssl
from contextlib import aclosing
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from genai_app import clock
from genai_app.adapters.directory.check.steps import Fact
from genai_app.adapters.findings import CheckOutcome, FactValue
from genai_app.adapters.llm.catalogue import Served
from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.adapters.public_tls import PublicTls, examine_tls
from genai_app.adapters.redis.check import RedisFault
from genai_app.adapters.redis.check import examine as examine_redis
from genai_app.db.database import Database
from genai_app.errors import AppError, StorageUnavailable
from genai_app.services.doctor.directory import Step
from genai_app.services.doctor.directory import check as check_steps
from genai_app.services.doctor.findings import (
    CheckName,
    DoctorCause,
    FactName,
    Finding,
    Skip,
    failed,
    skipped,
    warned,
    well,
)
from genai_app.services.doctor.local import Installation
from genai_app.settings.settings import LOOPBACK, Settings

OLDEST_POSTGRESQL = 14
OLDEST_REDIS = (6, 2)
OFF_S = 2.0  # the threshold of /readyz and of the log, too
FAR_OFF_S = 60.0

_SERVER = sa.text(
    """
    SELECT current_setting('server_version') AS version,
           current_setting('server_version_num')::int / 10000 AS major,
           current_setting('server_encoding') AS encoding,
           current_setting('transaction_read_only') = 'on' AS read_only,
           has_schema_privilege(current_schema(), 'CREATE') AS may_create,
           (SELECT count(*) FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace
             AND c.relkind = 'r' AND NOT (
               has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
               AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
           ) AS closed
    """
)
_MODEL_CAUSES = {
    "model_unavailable": DoctorCause.MODEL_GONE,
    "model_auth": DoctorCause.MODEL_AUTH,
    "model_unknown": DoctorCause.MODEL_UNLISTED,
    "model_timeout": DoctorCause.MODEL_SLOW,
    "model_total_timeout": DoctorCause.MODEL_SLOW,
    "model_busy": DoctorCause.MODEL_BUSY,
    "model_interrupted": DoctorCause.MODEL_CUT,
    "model_failed": DoctorCause.MODEL_CUT,
}
_REDIS_CAUSES = {
    "auth": DoctorCause.REDIS_AUTH,
    "rights": DoctorCause.REDIS_RIGHTS,
    "tls": DoctorCause.REDIS_TLS,
    "closed": DoctorCause.REDIS_CLOSED,
    "other": DoctorCause.REDIS_OTHER,
    "silent": DoctorCause.REDIS_SILENT,
    "gone": DoctorCause.REDIS_GONE,
}


def _is_first_start(settings: Settings) -> bool:
    """Returns whether the SQLite file does not exist yet."""
    if not settings.embedded:
        return False
    return not Path(sa.engine.make_url(settings.sqlalchemy_url).database or "").exists()


async def check_database(settings: Settings) -> list[Finding]:
    """Checks that the database answers, has a supported version, and can be written."""
    check = CheckName.DATABASE
    if _is_first_start(settings):
        return [skipped(check, Skip.FIRST_START)]
    db = Database(settings.sqlalchemy_url)
    try:
        if db.is_sqlite:
            async with db.write() as session:  # takes the lock, changes nothing
                version = await session.scalar(sa.text("SELECT sqlite_version()"))
            return [well(check, facts={FactName.VERSION: f"SQLite {version}"})]
        async with db.read() as session:
            row = (await session.execute(_SERVER)).one()
    except StorageUnavailable as error:
        cause = _database_cause(error)
        return [failed(check, cause, facts={FactName.DETAIL: _first_line(error)})]
    finally:
        await db.close()
    facts = {FactName.VERSION: f"PostgreSQL {row.version}"}
    causes = [
        cause
        for cause, applies in (
            (DoctorCause.DATABASE_OLD, row.major < OLDEST_POSTGRESQL),
            (DoctorCause.DATABASE_ENCODING, row.encoding != "UTF8"),
            (DoctorCause.DATABASE_READ_ONLY, row.read_only),
            (DoctorCause.DATABASE_RIGHTS, not row.may_create or row.closed),
        )
        if applies
    ]
    return [failed(check, cause, facts=facts) for cause in causes] or [well(check, facts=facts)]


def _database_cause(error: BaseException) -> DoctorCause:
    """Returns the cause of a driver's error, searched for in its whole chain of causes."""
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in seen:
        seen.append(each)
        state = str(getattr(each, "sqlstate", None) or "")
        if state.startswith("28"):
            return DoctorCause.DATABASE_AUTH
        if state.startswith("3D"):
            return DoctorCause.DATABASE_MISSING
        if state == "53300":
            return DoctorCause.DATABASE_FULL
        if state == "57P03":
            return DoctorCause.DATABASE_STARTING
        if isinstance(each, ssl.SSLError) or "rejected SSL upgrade" in str(each):
            return DoctorCause.DATABASE_TLS
        if isinstance(each, TimeoutError):
            return DoctorCause.DATABASE_SILENT
        if isinstance(each, OSError):
            return DoctorCause.DATABASE_REFUSED
        each = getattr(each, "orig", None) or each.__cause__ or each.__context__
    return DoctorCause.DATABASE_AWAY


def check_migrations(settings: Settings, installation: Installation) -> list[Finding]:
    """Compares the database's schema with this version's. Blocks."""
    check = CheckName.MIGRATIONS
    if _is_first_start(settings):
        return [skipped(check, Skip.FIRST_START)]
    try:
        state = installation.schema()
    except StorageUnavailable:
        return [skipped(check, Skip.NO_ANSWER)]
    if state == "current":
        return [well(check)]
    if state == "newer":
        return [failed(check, DoctorCause.SCHEMA_NEWER)]
    cause = DoctorCause.SCHEMA_NONE if state == "none" else DoctorCause.SCHEMA_OLDER
    return [failed(check, cause)]


async def check_redis(settings: Settings) -> list[Finding]:
    """Checks the Redis of limits and live text, and that of the cache if it has its own."""
    if settings.redis_url is None:
        return [skipped(CheckName.REDIS, Skip.NOT_SET)]
    checks = [_check_redis(settings.redis_url.get_secret_value())]
    if settings.cache_redis_url is not None:
        checks.append(_check_redis(settings.cache_redis_url.get_secret_value(), "cache"))
    return [finding for findings in await asyncio.gather(*checks) for finding in findings]


async def _check_redis(url: str, target: str = "") -> list[Finding]:
    """Checks one Redis. With the target "cache" it holds cached answers only and may evict them."""
    check, parts = CheckName.REDIS, urlsplit(url)
    result = await examine_redis(url, channels=not target)
    if isinstance(result, RedisFault):
        facts: dict[FactName, FactValue] = {FactName.DETAIL: result.detail}
        return [failed(check, _REDIS_CAUSES[result.kind], target, facts)]
    facts = {FactName.VERSION: result.version, FactName.POLICY: result.policy}
    findings: list[Finding] = []
    numbers = tuple(int(each) for each in result.version.split(".")[:2] if each.isdigit())
    if numbers and numbers < OLDEST_REDIS:
        findings.append(failed(check, DoctorCause.REDIS_OLD, target, facts))
    if result.policy not in ("", "noeviction") and not target:
        findings.append(warned(check, DoctorCause.REDIS_EVICTS, target, facts))
    if parts.scheme != "unix" and parts.hostname not in LOOPBACK and not parts.password:
        findings.append(warned(check, DoctorCause.REDIS_OPEN, target, facts))
    return findings or [well(check, target, facts)]


async def check_directory(settings: Settings) -> list[Finding]:
    """Runs `genai ldap check`; reports its failures and warnings, and controllers without any."""
    check = CheckName.DIRECTORY
    if not settings.directory:
        return [skipped(check, Skip.LOCAL_ONLY)]
    steps: list[Step] = []
    async with aclosing(check_steps(settings)) as running:
        steps = [step async for step in running]
    findings = [
        Finding(check, step.outcome, step.controller, step=step, seconds=step.seconds)
        for step in steps
        if step.outcome in (CheckOutcome.FAILED, CheckOutcome.WARNING)
    ]
    faulty = {step.controller for step in steps if step.outcome is not CheckOutcome.OK}
    targets = dict.fromkeys(step.controller for step in steps)
    return findings + [well(check, target) for target in targets if target not in faulty]


async def check_models(settings: Settings) -> list[Finding]:
    """Sends each endpoint a real request for one token."""
    if settings.demo_model:
        return [skipped(CheckName.MODEL, Skip.DEMO_MODEL)]
    checks = (_check_model(settings, url) for url in settings.llm_base_url)
    return [finding for findings in await asyncio.gather(*checks) for finding in findings]


async def _check_model(settings: Settings, url: str) -> list[Finding]:
    check, target = CheckName.MODEL, _without_password(url)
    client = LlmClient(settings, base_urls=[url])
    facts: dict[FactName, FactValue] = {}
    try:
        (served,) = await client.catalogue.ask_each(settings.llm_connect_timeout_s)
        if not isinstance(served, Served):
            raise served
        facts[FactName.MODEL] = wanted = settings.llm_model or served.models[0]
        if settings.llm_kind == "openai" and wanted not in served.models:
            facts[FactName.SERVED] = served.models
            return [failed(check, DoctorCause.MODEL_UNLISTED, target, facts)]
        turns = [ChatTurn("user", "1")]
        async with aclosing(client.stream(turns, max_tokens=1)) as answer:
            async for _ in answer:
                pass
    except AppError as error:
        cause = _MODEL_CAUSES.get(error.code, DoctorCause.MODEL_REFUSED)
        return [failed(check, cause, target, {**facts, FactName.DETAIL: _first_line(error)})]
    finally:
        await client.aclose()
    return [well(check, target, facts)]


def _without_password(url: str) -> str:
    """Returns a URL without its user information and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def check_certificate(settings: Settings) -> list[Finding]:
    """Checks the certificate of the public address. Blocks."""
    check, parts = CheckName.CERTIFICATE, urlsplit(settings.url)
    if parts.scheme == "http":
        if parts.hostname in LOOPBACK:
            return [skipped(check, Skip.LOCAL_ONLY)]
        return [warned(check, DoctorCause.NO_TLS, settings.url)]
    tls = examine_tls(parts.hostname or "", parts.port or 443)
    return [_certificate_finding(tls, settings.url)]


def _certificate_finding(tls: PublicTls, target: str) -> Finding:
    check = CheckName.CERTIFICATE
    facts: dict[FactName, FactValue] = {
        FactName(fact.value): value
        for fact, value in tls.facts.items()
        if fact in (Fact.DAYS_LEFT, Fact.ISSUER, Fact.NAMES, Fact.DETAIL)
    }
    if not tls.reached:  # in some networks the public address cannot be reached from inside
        return warned(check, DoctorCause.PUBLIC_UNREACHABLE, target, facts)
    if tls.cause is None:
        return well(check, target, facts)
    cause = DoctorCause(tls.cause.value)
    # browsers may trust an authority that this machine does not
    lenient = (DoctorCause.CERTIFICATE_ENDS_SOON, DoctorCause.AUTHORITY_UNKNOWN)
    return (warned if cause in lenient else failed)(check, cause, target, facts)


async def check_clock(settings: Settings) -> list[Finding]:
    """Compares this machine's clock with those of the database and of the model servers."""
    check = CheckName.CLOCK
    clocks: list[tuple[str, float]] = []
    if not settings.embedded:
        clocks += await _database_clock(settings)
    if not settings.demo_model:
        clocks += await _model_clocks(settings)
    if not clocks:
        return [skipped(check, Skip.NO_OTHER_CLOCK)]
    findings: list[Finding] = []
    for target, off_s in clocks:
        facts = {FactName.OFF_S: round(off_s, 1)}
        if abs(off_s) > FAR_OFF_S:
            findings.append(failed(check, DoctorCause.CLOCK_FAR_OFF, target, facts))
        elif abs(off_s) > OFF_S:
            findings.append(warned(check, DoctorCause.CLOCK_OFF, target, facts))
        else:
            findings.append(well(check, target, facts))
    return findings


async def _database_clock(settings: Settings) -> list[tuple[str, float]]:
    """Returns the database's name and the seconds that its clock is ahead; [] without an answer."""
    db = Database(settings.sqlalchemy_url)
    try:
        async with db.read() as session:
            before = clock.host_time()
            moment = await session.scalar(sa.text("SELECT clock_timestamp()"))
            after = clock.host_time()
    except StorageUnavailable:
        return []
    finally:
        await db.close()
    assert isinstance(moment, datetime)
    return [("PostgreSQL", (moment - (before + (after - before) / 2)).total_seconds())]


async def _model_clocks(settings: Settings) -> list[tuple[str, float]]:
    """Returns the address of each model server that sends a Date header, and the seconds that its
    clock is ahead."""
    client = LlmClient(settings, base_urls=settings.llm_base_url)
    try:
        replies = await client.catalogue.ask_each(settings.llm_connect_timeout_s)
    finally:
        await client.aclose()
    clocks: list[tuple[str, float]] = []
    for url, served in zip(settings.llm_base_url, replies, strict=True):
        if isinstance(served, Served) and served.date:
            try:
                moment = parsedate_to_datetime(served.date)
            except ValueError:
                continue
            # the Date header has whole seconds
            clocks.append(
                (_without_password(url), (moment - clock.host_time()).total_seconds() + 0.5)
            )
    return clocks


def _first_line(error: AppError) -> str:
    return error.detail.partition("\n")[0][:300]
