"""`/openapi.json`, and `/docs`: the API's page, drawn by Swagger UI from files of this server.

The content security policy allows neither files of other servers nor scripts inside the page.
"""

import gzip
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from genai_app.api.holder import current_holder
from genai_app.errors import NotFound
from genai_app.services import services
from genai_app.settings.urls import is_loopback_url


async def _admit(request: Request) -> None:
    """Admits everybody, users with a login, or nobody, by GENAI_API_DOCS. Raises NotFound,
    NotAuthenticated."""
    settings = services().settings
    # by default only an installation on localhost is open to everybody
    access = settings.api_docs or ("open" if is_loopback_url(settings.url) else "login")
    if access == "off":
        raise NotFound
    if access == "login":
        await current_holder(request)


router = APIRouter(include_in_schema=False, dependencies=[Depends(_admit)])

CACHED = "private, max-age=86400"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>GenAI assistant: HTTP API</title>
<link rel="icon" type="image/svg+xml" href="/favicon.svg">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<main id="swagger-ui"></main>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
# validatorUrl: by default Swagger UI sends this server's address to a server of its makers
START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
"""
# of the package fastapi-offline only these files are used
VENDORED = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}


@router.get("/openapi.json")
async def schema(request: Request) -> Response:
    return JSONResponse(request.app.openapi())


@router.get("/docs")
async def page() -> Response:
    return Response(PAGE, media_type="text/html")


@router.get("/docs/start.js")
async def start() -> Response:
    return Response(START, media_type="text/javascript", headers={"cache-control": CACHED})


@router.get("/docs/{name}")
async def vendored(name: str, request: Request) -> Response:
    """Returns a file of Swagger UI, compressed if the client accepts gzip."""
    if name not in VENDORED:
        raise HTTPException(404)
    headers = {"cache-control": CACHED, "vary": "accept-encoding"}
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["content-encoding"] = "gzip"
    body = _packed(name) if packed else _read(name)
    return Response(body, media_type=VENDORED[name], headers=headers)


def _read(name: str) -> bytes:
    return (files("fastapi_offline") / "static" / name).read_bytes()


@cache
def _packed(name: str) -> bytes:
    return gzip.compress(_read(name), 6, mtime=0)
