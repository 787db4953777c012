"""Refuses request bodies that are larger than any route needs."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genai_app.services import services
from genai_app.services.imports.reader.frames import MAX_FILE_BYTES

MAX_BODY_BYTES = 1_000_000
FORM_BYTES = 100_000  # of a form around its file
# routes that take files
LARGER = {
    ("POST", "/imports"): MAX_FILE_BYTES + FORM_BYTES,
    ("POST", "/v1/chat/completions"): 16 * 1024**2,  # pictures in messages
}
FILES = ("POST", "/files")


def longest_body(method: str, path: str) -> int:
    """Returns how many bytes the body of a request may have."""
    if (method, path) == FILES:
        return form_bytes(services().settings.file_max_mb)
    return LARGER.get((method, path), MAX_BODY_BYTES)


def form_bytes(file_mb: int) -> int:
    """Returns the bytes of a form with files of so many MB together."""
    return file_mb * 1024**2 + FORM_BYTES


class BodyLimit:
    """Answers 413 as soon as the announced or the received size is too large."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        announced = int(size) if size.isdigit() else 0
        received = 0
        longest = longest_body(scope["method"], scope["path"])

        async def limited() -> Message:
            nonlocal received
            if announced > longest:
                raise HTTPException(413)
            message = await receive()
            received += len(message.get("body", b""))
            if received > longest:
                raise HTTPException(413)
            return message

        await self._app(scope, limited, send)
