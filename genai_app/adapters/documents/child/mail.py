"""Reads mail: the heads that people know, the text, and the attachments that can be read."""

import email
import email.policy
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage, Message
from typing import Any

from genai_app.adapters.documents.child.draft import Draft, DraftPage, Refusal, tidy
from genai_app.adapters.documents.child.encodings import decode
from genai_app.adapters.documents.child.web import decode_html, text_of_html

_HEADS = ("From", "To", "Cc", "Date", "Subject")
MAX_ATTACHMENTS = 50
MAX_DEPTH = 4  # of mails within mails
_MAX_PARTS_DEEP = 100


def read(draft: Draft) -> None:
    """Reads a mail."""
    with open(draft.job.source, "rb") as file:
        message: Any = email.message_from_binary_file(file, policy=email.policy.default)
    draft.unit = "part"
    read_message(draft, message, 0)


def read_message(draft: Draft, message: EmailMessage, depth: int) -> None:
    """Adds a mail, and each attachment as parts of its own."""
    heads = [f"{name}: {_head(message, name)}" for name in _HEADS if message.get(name)]
    body = _body(message, draft)
    subject = _head(message, "Subject")
    draft.add(
        DraftPage(text="\n".join(heads) + f"\n\n{body}", label=subject[:100], heading=subject)
    )
    for number, part in enumerate(_attachments(message)):
        if number >= MAX_ATTACHMENTS:
            draft.warn("left_out", quote=_filename(part))
        elif part.get_content_type() == "message/rfc822":
            if depth >= MAX_DEPTH:
                raise Refusal("bomb", "mails within mails")
            inner: Any = part.get_payload()
            for each in inner[:1]:
                read_message(draft, each, depth + 1)
        else:
            content: Any = part.get_payload(decode=True)
            read_attachment(draft, _filename(part), content or b"")


def _head(message: Message, name: str) -> str:
    try:
        text = str(message.get(name, ""))
    except (ValueError, IndexError, AttributeError):  # broken heads break the parser
        text = ""
    # heads in eight bits that say nothing of their encoding
    if any("\udc80" <= letter <= "\udcff" for letter in text):
        text = decode(text.encode("utf-8", "surrogateescape"))[0]
    return " ".join(text.split())


def _body(message: EmailMessage, draft: Draft) -> str:
    part: Any = message.get_body(("plain", "html"))
    if part is None:
        return ""
    content: bytes = part.get_payload(decode=True) or b""
    if part.get_content_type() == "text/html":
        return text_of_html(_decoded(content, part, html=True), draft)
    return tidy(_decoded(content, part, html=False))


def _decoded(content: bytes, part: Message, *, html: bool) -> str:
    charset = part.get_content_charset() or ""
    if charset in ("us-ascii", "ascii"):
        charset = ""
    return (decode_html(content) if html and not charset else decode(content, charset))[0]


def _attachments(message: EmailMessage) -> Iterator[Message]:
    body = {id(part) for part in (message.get_body(("plain",)), message.get_body(("html",)))}
    stack: list[tuple[Any, int]] = [(message, 0)]
    while stack:
        part, depth = stack.pop()
        if depth > _MAX_PARTS_DEEP:
            raise Refusal("bomb", "depth")
        if part.get_content_type() == "message/rfc822" and part is not message:
            yield part
        elif part.is_multipart():
            stack += [(each, depth + 1) for each in reversed(part.get_payload())]
        elif id(part) not in body:
            yield part


def _filename(part: Message) -> str:
    try:
        return part.get_filename() or ""
    except (ValueError, IndexError, AttributeError):
        return ""


def read_attachment(draft: Draft, name: str, content: bytes) -> None:
    """Adds the pages of an attachment; one that cannot be read is left out with a warning."""
    from genai_app.adapters.documents.child.main import read_file

    if draft.depth >= MAX_DEPTH:
        raise Refusal("bomb", "attachments within attachments")
    # its bytes come from a file that the limits of this process bound
    path = draft.job.target / f"attachment-{draft.depth}"
    path.write_bytes(content)
    inner = Draft(
        replace(draft.job, source=path, name=name or "attachment"),
        depth=draft.depth + 1,
        pictures=draft.pictures,
        warnings=draft.warnings,
        thumbnail="none",
    )
    shown = name or "attachment"
    try:
        read_file(inner)
    except Refusal as refusal:
        if refusal.code == "file_bomb":
            raise
        draft.warn("left_out", quote=shown)
    finally:
        path.unlink(missing_ok=True)
    if inner.kind == "picture" and not inner.pages:
        draft.add(DraftPage(text=f"[{shown}]", label=shown))
    for page in inner.pages:
        page.label = f"{shown} · {page.label}" if page.label else shown
        draft.add(page)
