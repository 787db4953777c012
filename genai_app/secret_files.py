"""Secrets that stand in files, as containers give them."""

import os
from pathlib import Path
from typing import Any

from pydantic_settings import PydanticBaseSettingsSource

from genai_app.errors import SettingsError

PREFIX = "GENAI_"
SECRET_FIELDS = frozenset(
    {
        *("secret_key", "database_url", "redis_url", "cache_redis_url", "llm_api_key"),
        *("ldap_bind_password", "admin_password", "metrics_token"),
    }
)


class SecretFiles(PydanticBaseSettingsSource):
    """`GENAI_NAME_FILE` names a file that holds the value of `GENAI_NAME` (container secrets)."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        key = f"{PREFIX}{field_name.upper()}_FILE"
        path = os.environ.get(key)
        if not path:
            return None, field_name, False
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{key}: cannot read {path}: {error}") from error
        return text, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in SECRET_FIELDS:
            value, key, _ = self.get_field_value(None, name)
            if value is not None:
                found[key] = value
        return found
