"""All settings: frozen, checked once at the start, everything wrong named at once.

Names, meanings and defaults are the table in docs/settings.md (a test compares the two).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from limits import RateLimitItem
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from genai_app.errors import SettingsError
from genai_app.settings.database_url import is_postgresql, parse_database_url
from genai_app.settings.file_faults import ca_file_fault
from genai_app.settings.notations import ROLES, parse_filter, parse_groups, parse_limit, parse_rules
from genai_app.settings.redis_url import parse_redis_url
from genai_app.settings.secret_files import PREFIX, read_or_make_secret
from genai_app.settings.urls import (
    LOOPBACK,
    Host,
    authority_of,
    is_loopback,
    is_loopback_url,
    parse_origin,
    parse_service,
    parse_url,
)
from genai_app.settings.variables import DOTENV, Fault, UnknownName, read_variables

MIN_SECRET_BYTES = 32
MIN_SECRET_DISTINCT = 8  # "aaaa..." and "changeme" repeated are long, not secret
PLACEHOLDERS = ("changeme", "change-me", "change_me", "secret", "default", "example", "password")


Seconds = Annotated[float, Field(gt=0, le=24 * 3600)]


class Settings(BaseModel):
    """Everything that can be set from outside. Durations are seconds (`_s`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    public_url: str = ""
    data_dir: Path = Path("data")

    secret_key: SecretStr | None = None
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    cache_redis_url: SecretStr | None = None

    llm_base_url: tuple[str, ...] = ()
    llm_api_key: SecretStr | None = None
    llm_model: str = ""
    llm_kind: Literal["openai", "tgi"] = "openai"
    llm_connect_timeout_s: Seconds = 5
    llm_first_token_timeout_s: Seconds = 60
    llm_idle_timeout_s: Seconds = 20
    llm_total_timeout_s: Seconds = 600
    llm_max_concurrency: Annotated[int, Field(ge=1, le=100_000)] = 32
    llm_queue_timeout_s: Seconds = 60
    llm_max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 2048
    llm_context_tokens: Annotated[int, Field(ge=256, le=10_000_000)] | None = None

    system_prompt: str = ""

    rate_limit: str = "30/minute"
    rate_limit_reviewer: str = ""
    rate_limit_admin: str = ""
    max_parallel_answers: Annotated[int, Field(ge=0, le=100_000)] = 0
    cache_ttl_s: Annotated[int, Field(ge=1, le=366 * 86400)] = 3600
    cache_scope: Literal["company", "user", "off"] = "company"

    ldap_urls: tuple[str, ...] = ()
    ldap_bind_dn: str = ""
    ldap_bind_password: SecretStr | None = None
    ldap_user_base: str = ""
    ldap_user_filter: str = ""
    ldap_group_base: str = ""
    ldap_start_tls: bool | None = None
    ldap_ca_file: Path | None = None
    ldap_allowed_groups: tuple[str, ...] = ()
    ldap_admin_groups: tuple[str, ...] = ()
    ldap_reviewer_groups: tuple[str, ...] = ()
    ldap_recheck_s: Annotated[int, Field(ge=1, le=86400)] = 900
    ldap_lockout_tries: Annotated[int, Field(ge=0, le=1000)] | None = None
    ldap_contact: str = ""
    local_login: bool | None = None

    admin_username: str = "admin"
    admin_password: SecretStr | None = None
    session_ttl_s: Annotated[int, Field(ge=60, le=366 * 86400)] = 14 * 86400
    access_token_ttl_s: Annotated[int, Field(ge=10, le=86400)] = 900
    trusted_proxy_hops: Annotated[int, Field(ge=0, le=10)] = 0
    metrics_token: SecretStr | None = None
    api_docs: Literal["open", "login", "off"] | None = None

    review_mode: Literal["named", "pseudonymous", "off"] = "named"
    retention_days: Annotated[int, Field(ge=0, le=36500)] = 0
    retention_rules: dict[str, int] = Field(default_factory=dict)
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

    @field_validator("ldap_urls")
    @classmethod
    def _check_ldap_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        example = "ldaps://dc1.corp.example[:636]"
        for text in value:
            parse_service(text, ("ldap", "ldaps"), example)
            url = parse_url(text, ("ldap", "ldaps"))
            if url.path or url.username is not None or url.password is not None:
                raise ValueError(f"each entry must look like {example}: host and port alone")
        return value

    @field_validator(
        "ldap_allowed_groups", "ldap_admin_groups", "ldap_reviewer_groups", mode="before"
    )
    @classmethod
    def _split_groups(cls, value: object) -> object:
        return parse_groups(value) if isinstance(value, str) else value

    @field_validator("ldap_user_filter")
    @classmethod
    def _check_filter(cls, value: str) -> str:
        return parse_filter(value) if value else value

    @field_validator("retention_rules", mode="before")
    @classmethod
    def _split_rules(cls, value: object) -> object:
        return parse_rules(value) if isinstance(value, str) else value

    @field_validator("llm_base_url", "ldap_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())

    @field_validator("llm_base_url")
    @classmethod
    def _check_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        example = "http://host:port or https://host/v1"
        return tuple(parse_service(text, ("http", "https"), example) for text in value)

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        return parse_origin(value) if value else value

    @field_validator("rate_limit", "rate_limit_reviewer", "rate_limit_admin")
    @classmethod
    def _check_limit(cls, value: str, info: ValidationInfo) -> str:
        if value or info.field_name == "rate_limit":
            parse_limit(value)
        return value

    @field_validator("redis_url", "cache_redis_url")
    @classmethod
    def _check_redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_redis_url(value.get_secret_value())
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        text = value.get_secret_value()
        if is_postgresql(text):
            parse_database_url(text)
        elif not text.startswith("sqlite:"):
            raise ValueError("must begin with postgresql:// or sqlite:///")
        elif not re.fullmatch(r"sqlite:///[^?]+", text):
            raise ValueError("must look like sqlite:///path/of/the/file")
        return value

    @field_validator("llm_api_key", "metrics_token")
    @classmethod
    def _check_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("goes into an HTTP header: printable ASCII without spaces")
        return value

    @field_validator("secret_key")
    @classmethod
    def _check_secret_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        text = value.get_secret_value()
        if len(text.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"must be {MIN_SECRET_BYTES} bytes or more: openssl rand -hex 32")
        if len(set(text)) < MIN_SECRET_DISTINCT or text.lower().startswith(PLACEHOLDERS):
            raise ValueError("is a placeholder, not a secret: openssl rand -hex 32")
        return value

    @property
    def directory(self) -> bool:
        """Staff log in with the account of the company's directory."""
        return bool(self.ldap_urls)

    @property
    def local_accounts(self) -> bool:
        """Local accounts may log in."""
        return not self.ldap_urls if self.local_login is None else self.local_login

    @property
    def api_docs_access(self) -> Literal["open", "login", "off"]:
        """Who may read `/docs` and `/openapi.json`; unset: everybody on localhost only."""
        if self.api_docs is not None:
            return self.api_docs
        return "open" if is_loopback_url(self.url) else "login"

    @property
    def metrics_open(self) -> bool:
        """Whether this machine reads `/metrics` without a token: the port is of localhost alone."""
        return self.metrics_token is None and is_loopback(self.host)

    def start_tls(self, url: str) -> bool:
        """Whether StartTLS is asked for at `url`; unset: at each ldap:// but this machine's own."""
        if self.ldap_start_tls is None:
            return url.startswith("ldap:") and not is_loopback_url(url)
        return url.startswith("ldap:") and self.ldap_start_tls

    @property
    def embedded(self) -> bool:
        """Nothing but this process keeps state: the database is a SQLite file."""
        return self.database_url is None or self.database_url.get_secret_value().startswith(
            "sqlite"
        )

    @property
    def demo_model(self) -> bool:
        """No model server is set: the small one inside this process answers."""
        return not self.llm_base_url

    @cached_property
    def rates(self) -> dict[str, RateLimitItem]:
        """The limit of each role, by its name."""
        own = {"reviewer": self.rate_limit_reviewer, "admin": self.rate_limit_admin}
        return {role: parse_limit(own.get(role) or self.rate_limit) for role in ROLES}

    @cached_property
    def url(self) -> str:
        """The origin under which users reach the product."""
        return self.public_url or f"http://localhost:{self.port}"

    @cached_property
    def origins(self) -> frozenset[str]:
        """Origins that may open the websocket and post forms. Loopback names are equal."""
        url = parse_url(self.url, ("http", "https"))
        if url.host.name not in LOOPBACK:
            return frozenset({self.url})
        named = (replace(url, hosts=(Host(name, url.host.port),)) for name in LOOPBACK)
        return frozenset(f"{each.scheme}://{authority_of(each)}" for each in named)

    @cached_property
    def sqlalchemy_url(self) -> str:
        """The database as SQLAlchemy names it, without a driver."""
        if self.database_url is None:
            return f"sqlite:///{self.data_dir.absolute() / 'genai.sqlite3'}"
        return self.database_url.get_secret_value()

    @property
    def cache_url(self) -> str | None:
        """The Redis that keeps answers: one of its own, which may evict, or that of everything."""
        chosen = self.cache_redis_url or self.redis_url
        return chosen.get_secret_value() if chosen else None

    @property
    def anchor_path(self) -> Path:
        """The file with the signed end of the audit."""
        return self.audit_anchor or self.data_dir / "audit.anchor"

    @property
    def backup_path(self) -> Path:
        """Where backups are kept."""
        return self.backup_dir or self.data_dir / "backups"

    @property
    def backups_watched(self) -> bool:
        """Whether a missing backup is an alarm; a laptop's is nobody's business."""
        return self.backup_max_age_h > 0 and (self.backup_dir is not None or not self.embedded)

    @cached_property
    def secret(self) -> bytes:
        """The key that keyed hashes and signatures use. Made once in the data dir when embedded."""
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


Check = Callable[[Settings], Iterator[Fault]]


def load_settings(checks: Sequence[Check] = (), **overrides: Any) -> Settings:
    """Read and check everything.

    Args:
        checks: more than is checked for every command.

    Raises:
        SettingsError: naming everything that is wrong, one a line, without a value.
    """
    variables = read_variables(Settings.model_fields)
    values: dict[str, Any] = variables.values | overrides
    settings, faults = _validated(values)
    faults = variables.faults + faults
    wrong = {name for fault in faults for name in fault.fields}
    for check in (_secret_is_given, _directory_is_whole, *checks):
        faults += [fault for fault in check(settings) if wrong.isdisjoint(fault.fields)]
    if not faults:
        return settings
    in_file = variables.in_file - set(overrides)
    lines = [
        f"{fault} (in {DOTENV})" if fault.fields and fault.fields[0] in in_file else str(fault)
        for fault in faults
    ]
    # a name that is missing may be one that is misspelt
    lines += [unknown.fault() for unknown in variables.unknown]
    raise SettingsError("\n".join(dict.fromkeys(lines)))


def _validated(values: dict[str, Any]) -> tuple[Settings, list[Fault]]:
    """The settings, and what is wrong; for each wrong one the default is in its place."""
    try:
        return Settings(**values), []
    except ValidationError as error:
        faults = [
            Fault((str(item["loc"][0]),), re.sub(r"^Value error, ", "", item["msg"]))
            for item in error.errors()
        ]
    wrong = {fault.fields[0] for fault in faults}
    return Settings(**{name: each for name, each in values.items() if name not in wrong}), faults


def _secret_is_given(settings: Settings) -> Iterator[Fault]:
    if settings.secret_key is None and not settings.embedded:
        needed = "required when GENAI_DATABASE_URL is a server: openssl rand -hex 32"
        yield Fault(("secret_key",), needed)


def _directory_is_whole(settings: Settings) -> Iterator[Fault]:
    if settings.ldap_ca_file is not None and (text := ca_file_fault(settings.ldap_ca_file)):
        yield Fault(("ldap_ca_file",), text)
    if not settings.ldap_urls:
        if settings.local_login is False:
            nobody = "without GENAI_LDAP_URLS nobody could log in"
            yield Fault(("local_login", "ldap_urls"), nobody)
        return
    for name in ("ldap_bind_dn", "ldap_bind_password", "ldap_user_base"):
        if not getattr(settings, name):
            yield Fault((name,), "required with GENAI_LDAP_URLS")
    far = [url for url in settings.ldap_urls if not is_loopback_url(url)]
    if settings.ldap_start_tls is False and any(url.startswith("ldap:") for url in far):
        clear = "passwords would go in clear text over ldap://"
        yield Fault(("ldap_start_tls",), clear)


def unknown_names() -> list[UnknownName]:
    """Variables in the environment and in `.env` that begin with GENAI_ and mean nothing here."""
    return read_variables(Settings.model_fields).unknown
