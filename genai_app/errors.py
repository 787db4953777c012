"""The errors that a user may see. Adapters and services raise them; each channel renders them.

    AppError(code, user_text, status, retryable)
    ├── InvalidInput        422
    │   └── ContextTooLong        what, over_by, limit, over_chars
    ├── ModelRefused        400   reason: in the model server's words
    ├── BadCursor           400
    ├── TooLarge            413   over_by
    ├── NotAuthenticated    401
    ├── Forbidden           403   a role is missing; another user's row is NotFound
    ├── NotFound            404
    ├── Conflict            409
    ├── RateLimited         429   retry_after_s
    ├── Unavailable         503   retry_after_s
    │   ├── DirectoryUnavailable
    │   ├── ModelUnavailable
    │   └── StorageUnavailable
    └── ModelFailed         502   the received part of the answer is kept

`code` names the sentence `error.<code>` in locales/*.json; `user_text` fills its {placeholders}.
Any other exception is a bug: 500 with a request id, logged once with its trace.
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
        """The seconds after which a retry makes sense; None if waiting does not help."""
        value = self.params.get("retry_after_s")
        return value if isinstance(value, int) else None

    @property
    def sentence(self) -> str:
        """The key of the sentence, `error.<sentence>`: the code, or a more exact key."""
        return self.code

    def user_text(self, locale: str) -> str:
        """Returns the sentence for a user of the page, in `locale` ("ru" or "en")."""
        # imported here: most importers of this module never translate
        from genai_app.i18n import translate

        return translate(locale, f"error.{self.sentence}", **self._sentence_params(locale))

    def command_text(self, locale: str) -> str:
        """Returns the sentence for a user of the command line: it does not mention fields or
        pages."""
        return self._text_of("error_command", locale)

    def api_text(self, locale: str) -> str:
        """Returns the sentence for a client of the API: it does not mention parts of the page."""
        return self._text_of("error_api", locale)

    def _text_of(self, family: str, locale: str) -> str:
        """Returns the sentence of a family of keys, or the page's sentence if the family has
        none."""
        from genai_app.i18n import catalogue, translate

        key = f"{family}.{self.sentence}"
        if key not in catalogue(locale):
            return self.user_text(locale)
        return translate(locale, key, **self._sentence_params(locale))

    def _sentence_params(self, locale: str) -> dict[str, object]:
        """Returns the values of the placeholders; `wait` is the time to wait in words."""
        from genai_app.i18n import duration_text

        if self.retry_after_s is None:
            return dict(self.params)
        return {**self.params, "wait": duration_text(locale, self.retry_after_s)}


class InvalidInput(AppError):
    status = 422
    default_code = "invalid_input"


class BadCursor(AppError):
    """A cursor that was not made for this list, these filters and this user."""

    status = 400
    default_code = "bad_cursor"


class ContextTooLong(InvalidInput):
    """The question with its context does not fit into the model's context window.

    `what`: the part that is too long: `question`, `instructions` or `messages`. `over_by`: the
    excess in tokens. `limit`: the allowed tokens. `over_chars`: the excess in characters, roughly.
    """

    default_code = "context_too_long"

    @property
    def sentence(self) -> str:
        what = self.params.get("what")
        return f"context_too_long_{what}" if what else self.code


class ModelRefused(AppError):
    """The model server refuses the request. `reason`: its own words, cleaned."""

    status = 400
    default_code = "model_refused"

    @property
    def sentence(self) -> str:
        return f"{self.code}_because" if self.params.get("reason") else self.code


class TooLarge(AppError):
    """A text or body is too long. `over_by`: the excess in characters."""

    status = 413
    default_code = "too_large"


class FileTooLarge(TooLarge):
    """An uploaded file is too long. `limit_mb`: the allowed megabytes."""

    default_code = "file_too_large"

    @property
    def sentence(self) -> str:
        return f"{self.code}_mb" if self.params.get("limit_mb") else self.code


class NotAuthenticated(AppError):
    status = 401
    default_code = "not_authenticated"


class Forbidden(AppError):
    status = 403
    default_code = "forbidden"


class NotFound(AppError):
    """Raised for a row that does not exist or belongs to another user, so that nobody can tell
    which."""

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
    """The model server failed after it had begun to answer. The received text is kept."""

    status = 502
    default_code = "model_failed"
    retryable = True


class SettingsError(Exception):
    """Settings are missing or wrong; the text names each of them. The exit code is 2."""
