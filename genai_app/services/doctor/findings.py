"""The report of `genai doctor`: its checks, how each ended, facts, and causes of failures.

Each word of DoctorCause has two sentences in locales/*.json: `doctor.cause.<word>` says what is
wrong, `doctor.remedy.<word>` how to correct it. `doctor.skip.<word>` says why a check was skipped.
`doctor.check.<word>` and `doctor.fact.<word>` are titles.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from genai_app.adapters.findings import CheckOutcome, FactValue
from genai_app.i18n import translate
from genai_app.services.doctor.directory import (
    Step,
    name_of,
    sentences_of,
)
from genai_app.services.doctor.directory import (
    facts_of as facts_of_step,
)


class CheckName(StrEnum):
    """Checks in the order of the report."""

    SETTINGS = "settings"
    FRONT_END = "front_end"
    DATA_DIR = "data_dir"
    DISK = "disk"
    STORED_FILES = "stored_files"
    DATABASE = "database"
    MIGRATIONS = "migrations"
    REDIS = "redis"
    DIRECTORY = "directory"
    MODEL = "model"
    CERTIFICATE = "certificate"
    CLOCK = "clock"
    MESSENGERS = "messengers"
    FILES = "files"
    BACKUP = "backup"


class FactName(StrEnum):
    """Names of the facts that checks report."""

    VERSION = "version"
    PATH = "path"
    FREE_MB = "free_mb"
    NAMES = "names"
    MODEL = "model"
    SERVED = "served"
    DAYS_LEFT = "days_left"
    ISSUER = "issuer"
    POLICY = "policy"
    OFF_S = "off_s"
    AGE_H = "age_h"
    FILE = "file"
    DETAIL = "detail"  # an unchanged message of the server or of the system


class DoctorCause(StrEnum):
    """Everything that can be wrong."""

    CHECK_SLOW = "check_slow"
    CHECK_BROKE = "check_broke"

    SETTINGS_UNKNOWN = "settings_unknown"
    PUBLIC_URL_MISSING = "public_url_missing"

    FRONT_END_MISSING = "front_end_missing"
    FRONT_END_OLD = "front_end_old"

    DATA_DIR_UNWRITABLE = "data_dir_unwritable"
    SECRET_OPEN = "secret_open"  # noqa: S105  # a word
    DISK_LOW = "disk_low"
    DISK_FULL = "disk_full"
    FILES_UNWRITABLE = "files_unwritable"
    FILES_NO_SPACE = "files_no_space"
    FILES_MISSING = "files_missing"
    FILES_ORPHANED = "files_orphaned"

    DATABASE_REFUSED = "database_refused"
    DATABASE_AUTH = "database_auth"
    DATABASE_MISSING = "database_missing"
    DATABASE_SILENT = "database_silent"
    DATABASE_AWAY = "database_away"
    DATABASE_TLS = "database_tls"
    DATABASE_FULL = "database_full"
    DATABASE_STARTING = "database_starting"
    DATABASE_OLD = "database_old"
    DATABASE_READ_ONLY = "database_read_only"
    DATABASE_RIGHTS = "database_rights"
    DATABASE_ENCODING = "database_encoding"
    SCHEMA_NONE = "schema_none"
    SCHEMA_OLDER = "schema_older"
    SCHEMA_NEWER = "schema_newer"

    REDIS_GONE = "redis_gone"
    REDIS_SILENT = "redis_silent"
    REDIS_AUTH = "redis_auth"
    REDIS_RIGHTS = "redis_rights"
    REDIS_TLS = "redis_tls"
    REDIS_CLOSED = "redis_closed"
    REDIS_OTHER = "redis_other"
    REDIS_OLD = "redis_old"
    REDIS_EVICTS = "redis_evicts"
    REDIS_OPEN = "redis_open"

    MODEL_GONE = "model_gone"
    MODEL_AUTH = "model_auth"
    MODEL_UNLISTED = "model_unlisted"
    MODEL_SLOW = "model_slow"
    MODEL_BUSY = "model_busy"
    MODEL_REFUSED = "model_refused"
    MODEL_CUT = "model_cut"

    NO_TLS = "no_tls"
    PUBLIC_UNREACHABLE = "public_unreachable"
    NOT_TLS = "not_tls"
    AUTHORITY_UNKNOWN = "authority_unknown"
    SELF_SIGNED = "self_signed"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_EARLY = "certificate_early"
    CERTIFICATE_OTHER_HOST = "certificate_other_host"
    CERTIFICATE_REFUSED = "certificate_refused"
    CERTIFICATE_ENDS_SOON = "certificate_ends_soon"

    CLOCK_OFF = "clock_off"
    CLOCK_FAR_OFF = "clock_far_off"

    BOT_TOKEN = "bot_token"  # noqa: S105  # a word
    MESSENGER_GONE = "messenger_gone"

    READER_ONLINE = "reader_online"
    READER_OPEN = "reader_open"

    BACKUP_NONE = "backup_none"
    BACKUP_LATE = "backup_late"
    BACKUP_BAD = "backup_bad"
    BACKUP_UNTRIED = "backup_untried"
    BACKUP_OPEN = "backup_open"
    BACKUP_TOOLS = "backup_tools"


class Skip(StrEnum):
    """Why a check was skipped."""

    NOT_SET = "not_set"
    DEMO_MODEL = "demo_model"
    LOCAL_ONLY = "local_only"
    FIRST_START = "first_start"
    NO_ANSWER = "no_answer"
    NO_OTHER_CLOCK = "no_other_clock"
    NOT_WATCHED = "not_watched"
    NO_TESSERACT = "no_tesseract"


Facts = Mapping[FactName, FactValue]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check for one target."""

    check: CheckName
    outcome: CheckOutcome
    target: str = ""  # a URL, a controller, a server's name; "" where there is only one
    facts: Facts = field(default_factory=dict[FactName, FactValue])
    cause: DoctorCause | None = None
    skip: Skip | None = None
    step: Step | None = None  # of the check of the directory, which has its own causes and facts
    seconds: float = 0.0


def well(check: CheckName, target: str = "", facts: Facts | None = None) -> Finding:
    return Finding(check, CheckOutcome.OK, target, facts or {})


def warned(
    check: CheckName, cause: DoctorCause, target: str = "", facts: Facts | None = None
) -> Finding:
    return Finding(check, CheckOutcome.WARNING, target, facts or {}, cause)


def failed(
    check: CheckName, cause: DoctorCause, target: str = "", facts: Facts | None = None
) -> Finding:
    return Finding(check, CheckOutcome.FAILED, target, facts or {}, cause)


def skipped(check: CheckName, reason: Skip) -> Finding:
    return Finding(check, CheckOutcome.SKIPPED, skip=reason)


def title_of(finding: Finding, locale: str) -> str:
    """Returns the title of a finding: the check, its step, its target."""
    name = translate(locale, f"doctor.check.{finding.check}")
    step = f", {name_of(finding.step, locale)}" if finding.step else ""
    return f"{name}{step}{f' ({finding.target})' if finding.target else ''}"


def facts_of(finding: Finding, locale: str) -> list[str]:
    """Returns the facts of a finding, each as `name: value`."""
    if finding.step is not None:
        return facts_of_step(finding.step, locale)
    lines: list[str] = []
    for fact, value in finding.facts.items():
        text = ", ".join(value) if isinstance(value, tuple) else str(value)
        if text:
            lines.append(f"{translate(locale, f'doctor.fact.{fact}')}: {text}")
    return lines


def problem_of(finding: Finding, locale: str) -> str:
    """Returns what is wrong, or why the check was skipped; "" if all is well."""
    if finding.step is not None:
        return (sentences_of(finding.step, locale) or ("", ""))[0]
    if finding.skip is not None:
        return translate(locale, f"doctor.skip.{finding.skip}")
    return translate(locale, f"doctor.cause.{finding.cause}") if finding.cause else ""


def remedy_of(finding: Finding, locale: str) -> str:
    """Returns how to correct what is wrong; "" if there is nothing to correct."""
    if finding.step is not None:
        return (sentences_of(finding.step, locale) or ("", ""))[1]
    return translate(locale, f"doctor.remedy.{finding.cause}") if finding.cause else ""
