"""All settings: read and checked once at the start. All errors are reported together.

Names, meanings and defaults are in the table of docs/settings.md (a test compares the two).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from limits import RateLimitItem
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from genai_app.errors import SettingsError
from genai_app.settings.field_types import (
    MIN_SECRET_BYTES,
    BotToken,
    DirectoryUrls,
    Groups,
    HeaderSecret,
    Limit,
    ModelUrls,
    OptionalLimit,
    Origin,
    ProxyUrl,
    RetentionRules,
    Seconds,
    SecretDatabaseUrl,
    SecretKey,
    SecretRedisUrl,
    ServiceUrl,
    UserFilter,
)
from genai_app.settings.file_faults import ca_file_fault
from genai_app.settings.notations import ROLES, parse_limit
from genai_app.settings.secret_files import PREFIX, read_or_make_secret
from genai_app.settings.urls import LOOPBACK, Host, authority_of, is_loopback_url, parse_url
from genai_app.settings.variables import DOTENV, SettingFault, UnknownName, read_variables


class Settings(BaseModel):
    """All settings. Durations are in seconds (`_s`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    public_url: Origin = ""
    data_dir: Path = Path("data")

    secret_key: SecretKey = None
    database_url: SecretDatabaseUrl = None
    redis_url: SecretRedisUrl = None
    cache_redis_url: SecretRedisUrl = None

    llm_base_url: ModelUrls = ()
    llm_api_key: HeaderSecret = None
    llm_model: str = ""
    llm_kind: Literal["openai", "tgi"] = "openai"
    llm_connect_timeout_s: Seconds = 5
    llm_first_token_timeout_s: Seconds = 60
    llm_idle_timeout_s: Seconds = 20
    llm_total_timeout_s: Seconds = 600
    llm_max_concurrency: Annotated[int, Field(ge=1, le=100_000)] = 32
    llm_queue_timeout_s: Seconds = 60
    llm_max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 2048
    llm_reasoning: Literal["auto", "on", "off"] = "auto"
    llm_vision: Literal["auto", "on", "off"] = "auto"
    llm_context_tokens: Annotated[int, Field(ge=256, le=10_000_000)] | None = None

    system_prompt: str = ""
    titles: Literal["question", "model"] = "question"

    rate_limit: Limit = "30/minute"
    rate_limit_reviewer: OptionalLimit = ""
    rate_limit_admin: OptionalLimit = ""
    max_parallel_answers: Annotated[int, Field(ge=0, le=100_000)] = 0
    cache_ttl_s: Annotated[int, Field(ge=1, le=366 * 86400)] = 3600
    cache_scope: Literal["company", "user", "off"] = "company"

    ldap_urls: DirectoryUrls = ()
    ldap_bind_dn: str = ""
    ldap_bind_password: SecretStr | None = None
    ldap_user_base: str = ""
    ldap_user_filter: UserFilter = ""
    ldap_group_base: str = ""
    ldap_start_tls: bool | None = None
    ldap_ca_file: Path | None = None
    ldap_allowed_groups: Groups = ()
    ldap_admin_groups: Groups = ()
    ldap_reviewer_groups: Groups = ()
    ldap_recheck_s: Annotated[int, Field(ge=1, le=86400)] = 900
    ldap_lockout_tries: Annotated[int, Field(ge=0, le=1000)] | None = None
    ldap_contact: str = ""
    local_login: bool | None = None

    admin_username: str = "admin"
    admin_password: SecretStr | None = None
    session_ttl_s: Annotated[int, Field(ge=60, le=366 * 86400)] = 14 * 86400
    access_token_ttl_s: Annotated[int, Field(ge=10, le=86400)] = 900
    trusted_proxy_hops: Annotated[int, Field(ge=0, le=10)] = 0
    metrics_token: HeaderSecret = None
    api_docs: Literal["open", "login", "off"] | None = None

    telegram_token: BotToken = None
    telegram_api_url: ServiceUrl = "https://api.telegram.org"
    telegram_proxy: ProxyUrl = None
    telegram_groups: Groups = ()
    telegram_external: bool = False
    mattermost_url: ServiceUrl | None = None
    mattermost_token: HeaderSecret = None
    mattermost_ca_file: Path | None = None
    mattermost_groups: Groups = ()

    file_max_mb: Annotated[int, Field(ge=1, le=2000)] = 30
    files_per_user_mb: Annotated[int, Field(ge=1, le=10_000_000)] = 1024
    files_free_mb: Annotated[int, Field(ge=0, le=10_000_000)] = 1024
    file_days: Annotated[int, Field(ge=0, le=36500)] = 0

    review_mode: Literal["named", "pseudonymous", "off"] = "named"
    retention_days: Annotated[int, Field(ge=0, le=36500)] = 0
    retention_rules: RetentionRules = Field(default_factory=dict)
    deleted_days: Annotated[int, Field(ge=0, le=36500)] = 30
    export_days: Annotated[int, Field(ge=1, le=366)] = 7
    verified_days: Annotated[int, Field(ge=1, le=3650)] = 180
    audit_anchor: Path | None = None

    backup_dir: Path | None = None
    backup_keep: Annotated[int, Field(ge=1, le=10_000)] = 14
    backup_max_age_h: Annotated[int, Field(ge=0, le=8784)] = 26

    locale: Literal["ru", "en"] = "ru"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "console"

    @property
    def directory(self) -> bool:
        """Returns whether users log in with accounts of the company's directory."""
        return bool(self.ldap_urls)

    @property
    def local_accounts(self) -> bool:
        """Returns whether local accounts may log in."""
        return not self.ldap_urls if self.local_login is None else self.local_login

    def start_tls(self, url: str) -> bool:
        """Returns whether StartTLS is used at `url`; by default at every ldap:// of another
        machine."""
        if self.ldap_start_tls is None:
            return url.startswith("ldap:") and not is_loopback_url(url)
        return url.startswith("ldap:") and self.ldap_start_tls

    @property
    def embedded(self) -> bool:
        """Returns whether the database is an SQLite file, which only one process may use."""
        return self.database_url is None or self.database_url.get_secret_value().startswith(
            "sqlite"
        )

    @property
    def demo_model(self) -> bool:
        """Returns whether no model server is set, so that the small model in this process
        answers."""
        return not self.llm_base_url

    @cached_property
    def rates(self) -> dict[str, RateLimitItem]:
        """The limit of each role, by the role's name."""
        own = {"reviewer": self.rate_limit_reviewer, "admin": self.rate_limit_admin}
        return {role: parse_limit(own.get(role) or self.rate_limit) for role in ROLES}

    @cached_property
    def url(self) -> str:
        """The origin at which users reach the product."""
        return self.public_url or f"http://localhost:{self.port}"

    @cached_property
    def sqlalchemy_url(self) -> str:
        """The database URL of SQLAlchemy, without a driver."""
        if self.database_url is None:
            return f"sqlite:///{self.data_dir.absolute() / 'genai.sqlite3'}"
        return self.database_url.get_secret_value()

    @property
    def cache_url(self) -> str | None:
        """The Redis of cached answers: a separate one, which may evict, or the one of everything
        else."""
        chosen = self.cache_redis_url or self.redis_url
        return chosen.get_secret_value() if chosen else None

    @property
    def anchor_path(self) -> Path:
        """The file with the signed end of the audit chain."""
        return self.audit_anchor or self.data_dir / "audit.anchor"

    @property
    def backup_path(self) -> Path:
        """The directory of backups."""
        return self.backup_dir or self.data_dir / "backups"

    @cached_property
    def secret(self) -> bytes:
        """The key of keyed hashes and signatures. With SQLite it is made once in the data
        directory."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value().encode()
        try:
            text = read_or_make_secret(self.data_dir / "secret.key")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SettingsError(f"{PREFIX}DATA_DIR: cannot keep the secret key: {reason}") from None
        if len(text) < MIN_SECRET_BYTES:
            path = self.data_dir / "secret.key"
            raise SettingsError(f"{path}: damaged, {MIN_SECRET_BYTES} bytes or more are needed")
        return text.encode()


Check = Callable[[Settings], Iterator[SettingFault]]


def allowed_origins(settings: Settings) -> frozenset[str]:
    """Returns the origins that may open the websocket and post forms. At a loopback address all its
    names are allowed."""
    url = parse_url(settings.url, ("http", "https"))
    if url.host.name not in LOOPBACK:
        return frozenset({settings.url})
    same = (replace(url, hosts=(Host(name, url.host.port),)) for name in LOOPBACK)
    return frozenset(f"{each.scheme}://{authority_of(each)}" for each in same)


def load_settings(checks: Sequence[Check] = (), **overrides: Any) -> Settings:
    """Reads and checks all settings.

    Args:
        checks: checks that only some commands need.

    Raises:
        SettingsError: one line for each wrong setting, without its value.
    """
    variables = read_variables(Settings.model_fields)
    values: dict[str, Any] = variables.values | overrides
    settings, faults = _validated(values)
    faults = variables.faults + faults
    wrong = {name for fault in faults for name in fault.fields}
    own = (_require_secret_key, _check_directory, _check_telegram, _check_mattermost)
    for check in (*own, *checks):
        faults += [fault for fault in check(settings) if wrong.isdisjoint(fault.fields)]
    if not faults:
        return settings
    in_file = variables.in_file - set(overrides)
    lines = [
        f"{fault} (in {DOTENV})" if fault.fields and fault.fields[0] in in_file else str(fault)
        for fault in faults
    ]
    # a required setting may be missing because its name is misspelt
    lines += [unknown.fault() for unknown in variables.unknown]
    raise SettingsError("\n".join(dict.fromkeys(lines)))


def _validated(values: dict[str, Any]) -> tuple[Settings, list[SettingFault]]:
    """Returns the settings, with defaults for wrong values, and the faults."""
    try:
        return Settings(**values), []
    except ValidationError as error:
        faults = [
            SettingFault((str(item["loc"][0]),), re.sub(r"^Value error, ", "", item["msg"]))
            for item in error.errors()
        ]
    wrong = {fault.fields[0] for fault in faults}
    return Settings(**{name: each for name, each in values.items() if name not in wrong}), faults


def _require_secret_key(settings: Settings) -> Iterator[SettingFault]:
    if settings.secret_key is None and not settings.embedded:
        needed = "required when GENAI_DATABASE_URL is a server: openssl rand -hex 32"
        yield SettingFault(("secret_key",), needed)


def _check_directory(settings: Settings) -> Iterator[SettingFault]:
    if settings.ldap_ca_file is not None and (text := ca_file_fault(settings.ldap_ca_file)):
        yield SettingFault(("ldap_ca_file",), text)
    if not settings.ldap_urls:
        if settings.local_login is False:
            nobody = "without GENAI_LDAP_URLS nobody could log in"
            yield SettingFault(("local_login", "ldap_urls"), nobody)
        return
    for name in ("ldap_bind_dn", "ldap_bind_password", "ldap_user_base"):
        if not getattr(settings, name):
            yield SettingFault((name,), "required with GENAI_LDAP_URLS")
    remote = [url for url in settings.ldap_urls if not is_loopback_url(url)]
    if settings.ldap_start_tls is False and any(url.startswith("ldap:") for url in remote):
        clear = "passwords would go in clear text over ldap://"
        yield SettingFault(("ldap_start_tls",), clear)


def _check_telegram(settings: Settings) -> Iterator[SettingFault]:
    if settings.telegram_token is None:
        return
    if not settings.telegram_external and not is_loopback_url(settings.telegram_api_url):
        leaves = "questions and answers would leave your network: set it to true to allow that"
        yield SettingFault(("telegram_external",), leaves)
    if settings.telegram_groups and not settings.ldap_urls:
        yield SettingFault(("telegram_groups",), "only the directory has groups: GENAI_LDAP_URLS")


def _check_mattermost(settings: Settings) -> Iterator[SettingFault]:
    if settings.mattermost_token is None:
        return
    if settings.mattermost_url is None:
        needed = "required with GENAI_MATTERMOST_TOKEN"
        yield SettingFault(("mattermost_url", "mattermost_token"), needed)
    elif settings.mattermost_url.startswith("http:") and not is_loopback_url(
        settings.mattermost_url
    ):
        clear = "the bot's token and all answers would go in clear text over http://"
        yield SettingFault(("mattermost_url",), clear)
    file = settings.mattermost_ca_file
    if file is not None and (text := ca_file_fault(file)):
        yield SettingFault(("mattermost_ca_file",), text)
    if settings.mattermost_groups and not settings.ldap_urls:
        yield SettingFault(("mattermost_groups",), "only the directory has groups: GENAI_LDAP_URLS")


def unknown_names() -> list[UnknownName]:
    """Returns the variables of environment and `.env` that begin with GENAI_ but are no
    settings."""
    return read_variables(Settings.model_fields).unknown
