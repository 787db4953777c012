"""Whether a request that acts by its cookie was made by one of our own pages."""

from starlette.requests import Request

from genai_app.services import services


def is_foreign(request: Request) -> bool:
    """By Sec-Fetch-Site where the browser sends it, else by Origin.

    A client that sends neither is no browser, so no page can have driven it.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin not in services().settings.origins
