"""The language of error messages of the API."""

from fastapi import Request

from genai_app.i18n import LOCALES
from genai_app.services import services


def locale_of(request: Request) -> str:
    """Returns the supported language with the highest weight in `Accept-Language`, else
    GENAI_LOCALE."""
    default = services().settings.locale
    best, best_weight = default, 0.0
    for entry in request.headers.get("accept-language", "")[:1000].split(","):
        tag, _, quality = entry.strip().partition(";")
        language = tag.strip().partition("-")[0].lower()
        locale = default if language == "*" else language
        weight = _weight(quality)
        if locale in LOCALES and weight > best_weight:
            best, best_weight = locale, weight
    return best


def _weight(quality: str) -> float:
    name, _, value = quality.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0
