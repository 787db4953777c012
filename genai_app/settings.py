"""The only reader of the environment. Frozen, checked once at the start, all bad keys named.

Names, meanings and defaults are the table in docs/settings.md (a test compares the two).
"""

import os
import re
import secrets
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from limits import RateLimitItem
from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from genai_app.errors import SettingsError
from genai_app.notations import ROLES, parse_limit, parse_rules
from genai_app.secret_files import PREFIX, SECRET_FIELDS, SecretFiles

MIN_SECRET_BYTES = 32
MIN_SECRET_DISTINCT = 8  # "aaaa..." and "changeme" repeated are long, not secret
PLACEHOLDERS = ("changeme", "change-me", "change_me", "secret", "default", "example", "password")


Seconds = Annotated[float, Field(gt=0, le=24 * 3600)]


LOOPBACK = ("localhost", "127.0.0.1", "::1")
# how other products write the place of the name in a filter
FILTER_PLACES = ("{username}", "{user}", "{login}", "{0}", "%(user)s", "%s", "%u")


class Settings(BaseSettings):
    """Everything that can be set from outside. Durations are seconds (`_s`)."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=False,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    public_url: str = ""
    data_dir: Path = Path("data")

    secret_key: SecretStr | None = None
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    cache_redis_url: SecretStr | None = None

    llm_base_url: Annotated[tuple[str, ...], NoDecode] = ()
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
    llm_context_tokens: Annotated[int, Field(ge=256, le=10_000_000)] = 8192

    system_prompt: str = ""

    rate_limit: str = "30/minute"
    rate_limit_reviewer: str = ""
    rate_limit_admin: str = ""
    max_parallel_answers: Annotated[int, Field(ge=0, le=100_000)] = 0
    cache_ttl_s: Annotated[int, Field(ge=1, le=366 * 86400)] = 3600
    cache_scope: Literal["company", "user", "off"] = "company"

    ldap_urls: Annotated[tuple[str, ...], NoDecode] = ()
    ldap_bind_dn: str = ""
    ldap_bind_password: SecretStr | None = None
    ldap_user_base: str = ""
    ldap_user_filter: str = ""
    ldap_group_base: str = ""
    ldap_start_tls: bool | None = None
    ldap_ca_file: Path | None = None
    ldap_allowed_groups: Annotated[tuple[str, ...], NoDecode] = ()
    ldap_admin_groups: Annotated[tuple[str, ...], NoDecode] = ()
    ldap_reviewer_groups: Annotated[tuple[str, ...], NoDecode] = ()
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

    review_mode: Literal["named", "pseudonymous", "off"] = "named"
    retention_days: Annotated[int, Field(ge=0, le=36500)] = 0
    retention_rules: Annotated[dict[str, int], NoDecode] = Field(default_factory=dict)
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFiles(settings_cls), dotenv_settings

    @field_validator("ldap_urls")
    @classmethod
    def _check_ldap_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            parts = urlsplit(url)
            if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or parts.path:
                raise ValueError("each entry must look like ldaps://dc1.corp.example[:636]")
        return value

    @field_validator(
        "ldap_allowed_groups", "ldap_admin_groups", "ldap_reviewer_groups", mode="before"
    )
    @classmethod
    def _split_groups(cls, value: object) -> object:
        """Names or DNs. Between DNs stands a semicolon: they have commas of their own."""
        if not isinstance(value, str):
            return value
        parts = re.split(r"[;\r\n]", value)
        split = [[part] if "=" in part else part.split(",") for part in parts]
        return tuple(name.strip() for names in split for name in names if name.strip())

    @field_validator("ldap_user_filter")
    @classmethod
    def _check_filter(cls, value: str) -> str:
        for place in FILTER_PLACES:
            value = value.replace(place, FILTER_PLACES[0])
        if value and FILTER_PLACES[0] not in value:
            raise ValueError("must hold {username}, as in (uid={username})")
        if value.count("(") != value.count(")"):
            raise ValueError("has an odd parenthesis")
        return value if not value or value.startswith("(") else f"({value})"

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
        for url in value:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("each entry must look like http://host:port or https://host/v1")
        return value

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.path not in ("", "/")
        ):
            raise ValueError("must be an origin such as https://chat.example.com, without a path")
        return value.rstrip("/")

    @field_validator("rate_limit", "rate_limit_reviewer", "rate_limit_admin")
    @classmethod
    def _check_limit(cls, value: str, info: ValidationInfo) -> str:
        if value or info.field_name == "rate_limit":
            parse_limit(value)
        return value

    @field_validator("redis_url", "cache_redis_url")
    @classmethod
    def _check_redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in (
            "redis",
            "rediss",
            "unix",
        ):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        scheme = value.get_secret_value().partition(":")[0]
        if scheme not in ("postgresql", "sqlite"):
            raise ValueError("must begin with postgresql:// or sqlite:///")
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

    @model_validator(mode="after")
    def _secret_is_given(self) -> "Settings":
        if self.secret_key is None and not self.embedded:
            raise ValueError(
                "GENAI_SECRET_KEY: required when GENAI_DATABASE_URL is a server: "
                "openssl rand -hex 32"
            )
        return self

    @model_validator(mode="after")
    def _directory_is_whole(self) -> "Settings":
        if not self.ldap_urls:
            if self.local_login is False:
                raise ValueError("GENAI_LOCAL_LOGIN: without GENAI_LDAP_URLS nobody could log in")
            return self
        for name in ("ldap_bind_dn", "ldap_bind_password", "ldap_user_base"):
            if not getattr(self, name):
                raise ValueError(f"{PREFIX}{name.upper()}: required with GENAI_LDAP_URLS")
        far = [url for url in self.ldap_urls if urlsplit(url).hostname not in LOOPBACK]
        if self.ldap_start_tls is False and any(url.startswith("ldap:") for url in far):
            raise ValueError("GENAI_LDAP_START_TLS: passwords would go in clear text over ldap://")
        return self

    @property
    def directory(self) -> bool:
        """Staff log in with the account of the company's directory."""
        return bool(self.ldap_urls)

    @property
    def local_accounts(self) -> bool:
        """Local accounts may log in."""
        return not self.ldap_urls if self.local_login is None else self.local_login

    def start_tls(self, url: str) -> bool:
        """Whether StartTLS is asked for at `url`; unset: at each ldap:// but this machine's own."""
        if self.ldap_start_tls is None:
            return url.startswith("ldap:") and urlsplit(url).hostname not in LOOPBACK
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
        found = {self.url}
        parts = urlsplit(self.url)
        if parts.hostname in LOOPBACK:
            port = f":{parts.port}" if parts.port else ""
            found |= {
                f"{parts.scheme}://{host}{port}" for host in ("localhost", "127.0.0.1", "[::1]")
            }
        return frozenset(found)

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
        path = self.data_dir / "secret.key"
        if not path.exists():
            self.data_dir.mkdir(parents=True, exist_ok=True)
            made = secrets.token_hex(32)
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:  # another start was first; its key is as good
                pass
            else:
                with os.fdopen(fd, "w") as file:
                    file.write(made)
        text = path.read_text().strip()
        if len(text) < MIN_SECRET_BYTES:
            raise SettingsError(f"{path}: damaged, {MIN_SECRET_BYTES} bytes or more are needed")
        return text.encode()


def load_settings(**overrides: Any) -> Settings:
    """Read and check everything.

    Raises:
        SettingsError: naming every bad setting, one a line, never its value.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines: list[str] = []
        for item in error.errors():
            name = PREFIX + "_".join(str(part) for part in item["loc"][:1]).upper()
            text = re.sub(r"^Value error, ", "", item["msg"])
            lines.append(text if text.startswith(PREFIX) else f"{name}: {text}")
        raise SettingsError("\n".join(lines)) from None


def child_environment(**more: str) -> dict[str, str]:
    """What a program that we start sees: all of the environment but our settings, and `more`."""
    ours = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    return ours | more


def unknown_names(settings: Settings) -> list[str]:
    """Variables that begin with GENAI_ and mean nothing here: a slip, or a later version's."""
    known = {PREFIX + name.upper() for name in type(settings).model_fields}
    known |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRET_FIELDS}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
