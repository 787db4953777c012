"""Serves the built front end: compressed once, and cached for ever if the file's name contains a
hash. The origin under which the page was opened is put into the scripts at each request."""

import gzip
import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl

from reflex.utils.precompressed_staticfiles import PrecompressedStaticFiles
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from genai_app.errors import StorageUnavailable
from genai_app.services import services
from genai_app.site_map import CHAT, NOT_FOUND, PAGES
from genai_app.web.addresses import is_page, login_address, safe_target
from genai_app.web.cookies import cookie_header, session_token

ROOT = Path(__file__).parents[2]
# rxconfig.py builds with this host, and explains why
BUILT_ORIGIN = b"://origin.invalid"
# pages with a file of their own; a folder with the same name may exist too
_FILES = frozenset(each.address for each in PAGES) - {CHAT.address, NOT_FOUND.address}
CACHEABLE = (200, 206, 304)
IMMUTABLE = "public, max-age=31536000, immutable"
# paths without any page: their clients are programs, which get a JSON error
PROGRAMS = re.compile(
    r"/(v1|ask|dialogs|folders|messages|history|me|token|admin/api|docs|openapi\.json|healthz|readyz"
    r"|metrics|exports|files|imports)(/|$)"
)
# the list of hosts in Reflex's script whose port it removes from an https address
_PORTLESS = re.compile(rb"""\[(["'`])localhost\1(?:,\1[0:.]+\1)+\]""")
_PORTLESS_HOSTS = (b"localhost", b"0.0.0.0")
_HOST = re.compile(rb"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


def built_directory() -> Path | None:
    """Returns the directory of the built front end, or None before the first build."""
    directory = ROOT / ".web" / "build" / "client"
    return directory if directory.is_dir() else None


class Frontend(PrecompressedStaticFiles):
    """Serves the pages and assets in `directory`. Redirects to the login and, after it, to the
    page."""

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
        self._portless = {
            f"/{path.relative_to(directory)}": path.read_bytes()
            for path in directory.glob("assets/*.js")
            if _PORTLESS.search(path.read_bytes())
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if PROGRAMS.match(path):
            raise HTTPException(404)
        if path in (*self._templates, *self._portless) and scope["method"] in ("GET", "HEAD"):
            response = self._with_origin(scope)
            if response is not None:
                await response(scope, receive, send)
                return
        query = scope["query_string"].decode("latin-1")
        if is_page(path) and not await _has_session(scope, if_unsure=True):
            login = login_address(f"{path}?{query}" if query else path)
            await RedirectResponse(login, 303)(scope, receive, send)
            return
        if path == "/login" and await _has_session(scope, if_unsure=False):
            target = dict(parse_qsl(query)).get("next", "/")
            await RedirectResponse(safe_target(target), 303)(scope, receive, send)
            return
        if path.rstrip("/") in _FILES and self._has_file(path):
            # otherwise the folder with the same name would cause a redirect
            scope = {**scope, "path": f"{path.rstrip('/')}.html"}

        if path.startswith("/assets/"):
            caching = IMMUTABLE
        else:  # not even the back button may show a page after the logout
            caching = "no-store" if is_page(path) or path == "/login" else "no-cache"

        async def with_cache(message: Message) -> None:
            if message["type"] != "http.response.start":
                pass
            elif message["status"] == 404 and _is_program(scope):
                raise HTTPException(404)  # nothing is sent yet, so the API's renderer answers
            elif message["status"] in CACHEABLE:
                message["headers"] = [*message["headers"], (b"cache-control", caching.encode())]
            await send(message)

        await super().__call__(scope, receive, with_cache)

    def _has_file(self, path: str) -> bool:
        return (Path(str(self.directory)) / f"{path.strip('/')}.html").is_file()

    def _with_origin(self, scope: Scope) -> Response | None:
        """Returns the file with the origin of the request in it, or None if the file is the same
        for all origins."""
        path = scope["path"]
        host = next((v for k, v in scope["headers"] if k == b"host"), b"")
        if not _HOST.fullmatch(host):
            return Response(status_code=400)
        secure = services().settings.url.startswith("https:")
        if path in self._templates:
            body = _substituted(self._templates[path], host, secure)
        elif secure and host.partition(b":")[0].lower() in _PORTLESS_HOSTS:
            body = _PORTLESS.sub(b"[]", self._portless[path])
        else:
            return None
        # the same for all users of this origin, so it may be cached; each origin has its own copy
        headers = {"cache-control": IMMUTABLE, "vary": "host, accept-encoding"}
        if "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            body = _packed(body)
        return Response(body, media_type="text/javascript", headers=headers)


def _is_program(scope: Scope) -> bool:
    """Returns whether the client is a program. A browser that asks for a page always accepts
    HTML."""
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


async def _has_session(scope: Scope, *, if_unsure: bool) -> bool:
    """Returns whether the request has a valid session. `if_unsure`: the result while the database
    is unavailable."""
    try:
        token = session_token(cookie_header(scope["headers"]))
        return await services().sessions.find_actor(token) is not None
    except StorageUnavailable:
        return if_unsure
