"""Types of settings: how the text of a variable is parsed and checked.

The message of a ValueError is printed after the name of the setting, and holds no part of a secret.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from genai_app.settings.database_url import is_postgresql, parse_database_url
from genai_app.settings.notations import parse_filter, parse_groups, parse_limit, parse_rules
from genai_app.settings.redis_url import parse_redis_url
from genai_app.settings.urls import parse_origin, parse_service, parse_url

MIN_SECRET_BYTES = 32
MIN_SECRET_DISTINCT = 8  # "aaaa..." and "changeme" repeated are long, but easy to guess
PLACEHOLDERS = ("changeme", "change-me", "change_me", "secret", "default", "example", "password")


def _split_urls(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())


def _check_model_urls(urls: tuple[str, ...]) -> tuple[str, ...]:
    example = "http://host:port or https://host/v1"
    return tuple(parse_service(text, ("http", "https"), example) for text in urls)


def _check_directory_urls(urls: tuple[str, ...]) -> tuple[str, ...]:
    example = "ldaps://dc1.corp.example[:636]"
    for text in urls:
        parse_service(text, ("ldap", "ldaps"), example)
        url = parse_url(text, ("ldap", "ldaps"))
        if url.path or url.username is not None or url.password is not None:
            raise ValueError(f"each entry must look like {example}: host and port alone")
    return urls


def _split_groups(value: object) -> object:
    return parse_groups(value) if isinstance(value, str) else value


def _split_rules(value: object) -> object:
    return parse_rules(value) if isinstance(value, str) else value


def _check_filter(text: str) -> str:
    return parse_filter(text) if text else text


def _check_origin(text: str) -> str:
    return parse_origin(text) if text else text


def _check_limit(text: str) -> str:
    parse_limit(text)
    return text


def _check_optional_limit(text: str) -> str:
    return _check_limit(text) if text else text


def _check_redis_url(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None:
        parse_redis_url(secret.get_secret_value())
    return secret


def _check_database_url(secret: SecretStr | None) -> SecretStr | None:
    if secret is None:
        return None
    text = secret.get_secret_value()
    if is_postgresql(text):
        parse_database_url(text)
    elif not text.startswith("sqlite:"):
        raise ValueError("must begin with postgresql:// or sqlite:///")
    elif not re.fullmatch(r"sqlite:///[^?]+", text):
        raise ValueError("must look like sqlite:///path/of/the/file")
    return secret


def _check_header(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None and not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
        raise ValueError("goes into an HTTP header: printable ASCII without spaces")
    return secret


def _check_secret_key(secret: SecretStr | None) -> SecretStr | None:
    if secret is None:
        return None
    text = secret.get_secret_value()
    if len(text.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"must be {MIN_SECRET_BYTES} bytes or more: openssl rand -hex 32")
    if len(set(text)) < MIN_SECRET_DISTINCT or text.lower().startswith(PLACEHOLDERS):
        raise ValueError("is a placeholder, not a secret: openssl rand -hex 32")
    return secret


def _check_service(text: str) -> str:
    return parse_service(text, ("http", "https"), "https://host[:port]")


def _check_proxy(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None:
        parse_service(secret.get_secret_value(), ("http", "https"), "http://proxy.example:3128")
    return secret


def _check_bot_token(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None and not re.fullmatch(r"\d+:[A-Za-z0-9_-]+", secret.get_secret_value()):
        raise ValueError("is not a token of @BotFather: digits, a colon, letters")
    return secret


Seconds = Annotated[float, Field(gt=0, le=24 * 3600)]

ModelUrls = Annotated[
    tuple[str, ...], BeforeValidator(_split_urls), AfterValidator(_check_model_urls)
]
DirectoryUrls = Annotated[
    tuple[str, ...], BeforeValidator(_split_urls), AfterValidator(_check_directory_urls)
]
ServiceUrl = Annotated[str, AfterValidator(_check_service)]
Groups = Annotated[tuple[str, ...], BeforeValidator(_split_groups)]
UserFilter = Annotated[str, AfterValidator(_check_filter)]
RetentionRules = Annotated[dict[str, int], BeforeValidator(_split_rules)]
Origin = Annotated[str, AfterValidator(_check_origin)]
Limit = Annotated[str, AfterValidator(_check_limit)]
OptionalLimit = Annotated[str, AfterValidator(_check_optional_limit)]

# of the whole union: the name of the setting alone must be the location of an error
SecretKey = Annotated[SecretStr | None, AfterValidator(_check_secret_key)]
SecretDatabaseUrl = Annotated[SecretStr | None, AfterValidator(_check_database_url)]
SecretRedisUrl = Annotated[SecretStr | None, AfterValidator(_check_redis_url)]
HeaderSecret = Annotated[SecretStr | None, AfterValidator(_check_header)]
BotToken = Annotated[SecretStr | None, AfterValidator(_check_bot_token)]
ProxyUrl = Annotated[SecretStr | None, AfterValidator(_check_proxy)]
