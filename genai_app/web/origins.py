"""Protection against requests that other sites make with the browser's cookie (CSRF)."""

from starlette.requests import Request

from genai_app.services import services
from genai_app.settings.settings import allowed_origins


def is_foreign(request: Request) -> bool:
    """Returns whether another site caused the request, by Sec-Fetch-Site or else by Origin.

    A client that sends neither header is not a browser, so no site can control it.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin not in allowed_origins(services().settings)
