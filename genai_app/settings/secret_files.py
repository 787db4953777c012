"""Reads secrets from files, as containers provide them: `GENAI_NAME_FILE` is the path of a file
with the value of `GENAI_NAME`."""

import os
import secrets
from pathlib import Path

PREFIX = "GENAI_"
FILE_SUFFIX = "_FILE"
MAX_BYTES = 65_536
SECRET_FIELDS = frozenset(
    {
        *("secret_key", "database_url", "redis_url", "cache_redis_url", "llm_api_key"),
        *("ldap_bind_password", "admin_password", "metrics_token"),
        *("telegram_token", "telegram_proxy", "mattermost_token"),
    }
)
# an empty file counts as unset: containers mount one for secrets that are not used
OPTIONAL_SECRETS = frozenset(
    {"llm_api_key", "ldap_bind_password", "admin_password", "metrics_token"}
)


def read_secret(path: Path, *, optional: bool = False) -> str:
    """Returns the content of the file, without white space around it.

    Args:
        optional: the file may be empty.

    Raises:
        ValueError: the file cannot be read, or is empty. The message has no path: it may be the
            secret itself, set by mistake.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        raise ValueError(f"names a file that cannot be read: {reason}") from None
    if len(content) > MAX_BYTES:
        raise ValueError(f"names a file of more than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError("names a file that is not UTF-8 text") from None
    if not text and not optional:
        raise ValueError("names a file that is empty")
    return text


def read_or_make_secret(path: Path) -> str:
    """Returns the secret in the file at `path`, which is created with mode 0600 if it is missing.

    Raises:
        OSError: the file can be neither read nor created.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        secret = secrets.token_hex(32)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # another process was first: its key is used
            pass
        else:
            with os.fdopen(fd, "w") as file:
                file.write(secret)
    return path.read_text(encoding="utf-8", errors="replace").strip()
