"""Serves the built front end: compressed once, cached for ever where the name holds a hash, and
told at the moment of asking under which origin it was opened."""

import gzip
import re
from functools import lru_cache
from pathlib import Path

from reflex.utils.precompressed_staticfiles import PrecompressedStaticFiles
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from genai_app.errors import StorageUnavailable
from genai_app.services import services
from genai_app.web.cookies import cookie_header, session_token

ROOT = Path(__file__).parents[2]
# rxconfig.py builds with this host; see there
BUILT_ORIGIN = b"://origin.invalid"
_OTHERS = (
    *("/settings", "/settings/", "/admin", "/admin/"),
    *("/admin/exports", "/admin/exports/"),
)
CACHEABLE = (200, 206, 304)
IMMUTABLE = "public, max-age=31536000, immutable"
# below these there are no pages: whoever misses is a program
PROGRAMS = re.compile(
    r"/(v1|ask|dialogs|messages|history|me|token|admin/api|docs|openapi\.json|healthz|readyz"
    r"|metrics|exports)(/|$)"
)
_HOST = re.compile(rb"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


def built_directory() -> Path | None:
    """Where the built front end is; None before the first build."""
    directory = ROOT / ".web" / "build" / "client"
    return directory if directory.is_dir() else None


class Frontend(PrecompressedStaticFiles):
    """The pages and assets below `directory`; any address that is no file is a page."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            directory=directory,
            html=True,
            encodings=["brotli", "gzip"],
            router=lambda path: path if is_page(path) else None,
        )
        self._templates = {
            f"/{path.relative_to(directory)}": path.read_bytes()
            for path in directory.glob("assets/*.js")
            if BUILT_ORIGIN in path.read_bytes()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if PROGRAMS.match(path):
            raise HTTPException(404)
        if path in self._templates and scope["method"] in ("GET", "HEAD"):
            await self._with_origin(scope)(scope, receive, send)
            return
        if is_page(path) and not await _is_known(scope, if_unsure=True):
            target = "/login" if path == "/" else f"/login?next={path}"
            await RedirectResponse(target, 303)(scope, receive, send)
            return
        if path == "/login" and await _is_known(scope, if_unsure=False):
            await RedirectResponse("/", 303)(scope, receive, send)
            return
        if path in ("/login", *_OTHERS):
            # a folder of that name is there too: without this, a redirect to it
            scope = {**scope, "path": f"{path.rstrip('/')}.html"}

        if path.startswith("/assets/"):
            caching = IMMUTABLE
        else:  # not even the back button may show a page after the logout
            caching = "no-store" if is_page(path) or path == "/login" else "no-cache"

        async def with_cache(message: Message) -> None:
            if message["type"] != "http.response.start":
                pass
            elif message["status"] == 404 and _is_program(scope):
                raise HTTPException(404)  # nothing is sent yet: the API's renderer answers
            elif message["status"] in CACHEABLE:
                message["headers"] = [*message["headers"], (b"cache-control", caching.encode())]
            await send(message)

        await super().__call__(scope, receive, with_cache)

    def _with_origin(self, scope: Scope) -> Response:
        host = next((v for k, v in scope["headers"] if k == b"host"), b"")
        if not _HOST.fullmatch(host):
            return Response(status_code=400)
        secure = services().settings.url.startswith("https:")
        body = _substituted(self._templates[scope["path"]], host, secure)
        # the same for all users of this origin, so it may be kept; another origin has its own copy
        headers = {"cache-control": IMMUTABLE, "vary": "host, accept-encoding"}
        if "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            body = _packed(body)
        return Response(body, media_type="text/javascript", headers=headers)


def is_page(path: str) -> bool:
    """Whether `path` is one of the product's pages that need a login."""
    if path in ("/", *_OTHERS):
        return True
    return re.fullmatch(r"/c/[0-9a-fA-F-]{1,40}/?", path) is not None


def _is_program(scope: Scope) -> bool:
    """Whether no browser asks for a page: every one of them names HTML."""
    accept = Headers(scope=scope).get("accept")
    return accept is not None and "html" not in accept


@lru_cache(maxsize=16)
def _substituted(template: bytes, host: bytes, secure: bool) -> bytes:
    text = template
    for scheme in (b"http", b"ws"):
        own = scheme + b"s" if secure else scheme
        text = text.replace(scheme + BUILT_ORIGIN, own + b"://" + host)
    return text


@lru_cache(maxsize=16)
def _packed(text: bytes) -> bytes:
    return gzip.compress(text, 6, mtime=0)


async def _is_known(scope: Scope, *, if_unsure: bool) -> bool:
    """Whether a live session asks. `if_unsure`: the answer while the database is away."""
    try:
        token = session_token(cookie_header(scope["headers"]))
        return await services().sessions.find_actor(token) is not None
    except StorageUnavailable:
        return if_unsure
