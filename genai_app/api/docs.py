"""/docs: the API's page, drawn by Swagger UI from files of our own. Nothing comes from elsewhere,
and no script stands in the page: the content security policy lets none run."""

import gzip
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

router = APIRouter(include_in_schema=False)

CACHED = "public, max-age=86400"
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
# validatorUrl: Swagger UI would send our address to a server of its makers
START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
"""
# the package is fastapi-offline, of which only these files are used
VENDORED = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}


@router.get("/docs")
async def page() -> Response:
    return Response(PAGE, media_type="text/html")


@router.get("/docs/start.js")
async def start() -> Response:
    return Response(START, media_type="text/javascript", headers={"cache-control": CACHED})


@router.get("/docs/{name}")
async def vendored(name: str, request: Request) -> Response:
    """Swagger UI's own files, packed for whom can unpack them."""
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
