"""Every error that a user may see. Adapters and services raise these; three renderers show them.

    AppError(code, user_text, status, retryable)
    ├── InvalidInput        422
    ├── TooLarge            413   over_by
    ├── NotAuthenticated    401
    ├── Forbidden           403   a role is missing; a row that is not yours is NotFound
    ├── NotFound            404
    ├── Conflict            409
    ├── RateLimited         429   retry_after_s
    ├── Unavailable         503   retry_after_s
    │   ├── DirectoryUnavailable
    │   ├── ModelUnavailable
    │   └── StorageUnavailable
    └── ModelFailed         502   the part of the answer that came is kept

`code` names the sentence `error.<code>` in locales/*.json; `user_text` fills its {placeholders}.
Anything else that is raised is a bug: 500 with a request id, logged once with its trace.
"""

from typing import ClassVar


class AppError(Exception):
    """An expected failure with a status, a stable code and a sentence for the user.

    Args:
        detail: for the log only; never shown to the client.
        code: key of the sentence in the locale files, `error.<code>`.
        params: values for the placeholders of that sentence.
    """

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "", *, code: str | None = None, **params: object) -> None:
        super().__init__(detail or code or self.default_code)
        self.detail = detail
        self.code = code or self.default_code
        self.params = params

    @property
    def retry_after_s(self) -> int | None:
        """Seconds after which a retry makes sense; None where waiting does not help."""
        value = self.params.get("retry_after_s")
        return value if isinstance(value, int) else None

    def user_text(self, locale: str) -> str:
        """The sentence for the user, in `locale` ("ru" or "en")."""
        from genai_app.i18n import translate  # i18n knows nothing of errors; keeps the tree cheap

        return translate(locale, f"error.{self.code}", **self.params)


class InvalidInput(AppError):
    status = 422
    default_code = "invalid_input"


class TooLarge(AppError):
    """`over_by`: how many characters too long the text is."""

    status = 413
    default_code = "too_large"


class NotAuthenticated(AppError):
    status = 401
    default_code = "not_authenticated"


class Forbidden(AppError):
    status = 403
    default_code = "forbidden"


class NotFound(AppError):
    """Also the answer for a row of somebody else: the same as for an id that never was."""

    status = 404
    default_code = "not_found"


class Conflict(AppError):
    status = 409
    default_code = "conflict"


class RateLimited(AppError):
    status = 429
    default_code = "rate_limited"
    retryable = True


class Unavailable(AppError):
    status = 503
    default_code = "unavailable"
    retryable = True


class DirectoryUnavailable(Unavailable):
    default_code = "directory_unavailable"


class ModelUnavailable(Unavailable):
    default_code = "model_unavailable"


class StorageUnavailable(Unavailable):
    default_code = "storage_unavailable"


class ModelFailed(AppError):
    """The model server began and then broke; what had come is kept."""

    status = 502
    default_code = "model_failed"
    retryable = True


class SettingsError(Exception):
    """One or more settings are missing or wrong; the text names each of them. Exit code 2."""
