"""Reads MSG, a mail of Outlook, with its attachments."""

import re
import struct
from typing import Any

import olefile

from genai_app.adapters.documents.child.draft import Draft, DraftPage, Refusal, tidy
from genai_app.adapters.documents.child.encodings import decode
from genai_app.adapters.documents.child.mail import MAX_ATTACHMENTS, MAX_DEPTH, read_attachment
from genai_app.adapters.documents.child.web import decode_html, text_of_html

_SUBJECT, _SENDER, _ADDRESS, _TO, _CC = "0037", "0C1A", "0C1F", "0E04", "0E03"
_BODY, _HTML, _HEADERS = "1000", "1013", "007D"
_DATA, _LONG_NAME, _NAME, _SHOWN_NAME = "3701", "3707", "3704", "3001"
_MAX_STREAM = 100 << 20
_DATE = re.compile(r"^Date:[ \t]*(.+)$", re.M)


def read(draft: Draft) -> None:
    """Reads a mail."""
    draft.unit = "part"
    with olefile.OleFileIO(str(draft.job.source)) as file:
        _Mail(file, draft).read("", 0)


class _Mail:
    """Reads a message and those within it."""

    def __init__(self, file: Any, draft: Draft) -> None:
        self._file = file
        self._draft = draft

    def read(self, folder: str, depth: int) -> None:
        """Adds a message that is kept in a folder of the file."""
        if depth > MAX_DEPTH:
            raise Refusal("bomb", "mails within mails")
        subject = self._text(folder, _SUBJECT)
        sender, address = self._text(folder, _SENDER), self._text(folder, _ADDRESS)
        date = _DATE.search(self._text(folder, _HEADERS))
        heads = {
            "From": f"{sender} <{address}>" if "@" in address and address != sender else sender,
            "To": self._text(folder, _TO),
            "Cc": self._text(folder, _CC),
            "Date": date.group(1).strip() if date else "",
            "Subject": subject,
        }
        lines = [f"{name}: {' '.join(text.split())}" for name, text in heads.items() if text]
        text = "\n".join(lines) + f"\n\n{self._body(folder)}"
        self._draft.add(DraftPage(text=text, label=subject[:100], heading=subject))
        for number, name in enumerate(self._folders(folder, "__attach_version1.0_#")):
            if number >= MAX_ATTACHMENTS:
                self._draft.warn("left_out")
            else:
                self._attachment(name, depth)

    def _body(self, folder: str) -> str:
        if plain := self._text(folder, _BODY):
            return tidy(plain)
        html = self._bytes(f"{folder}__substg1.0_{_HTML}0102")
        text = decode_html(html)[0] if html else self._text(folder, _HTML)
        return text_of_html(text, self._draft) if text else ""

    def _attachment(self, folder: str, depth: int) -> None:
        if self._file.exists(f"{folder}__substg1.0_{_DATA}000D/__properties_version1.0"):
            self.read(f"{folder}__substg1.0_{_DATA}000D/", depth + 1)
            return
        names = (self._text(folder, each) for each in (_LONG_NAME, _NAME, _SHOWN_NAME))
        content = self._bytes(f"{folder}__substg1.0_{_DATA}0102")
        read_attachment(self._draft, next(filter(None, names), ""), content)

    def _folders(self, folder: str, prefix: str) -> list[str]:
        start = folder.rstrip("/").split("/") if folder else []
        names = {
            each[len(start)]
            for each in self._file.listdir()
            if each[: len(start)] == start and len(each) > len(start)
        }
        return [f"{folder}{name}/" for name in sorted(names) if name.startswith(prefix)]

    def _text(self, folder: str, field: str) -> str:
        wide = self._bytes(f"{folder}__substg1.0_{field}001F")
        if wide:
            return wide.decode("utf-16-le", "replace").rstrip("\0")
        narrow = self._bytes(f"{folder}__substg1.0_{field}001E").rstrip(b"\0")
        return decode(narrow)[0] if narrow else ""

    def _bytes(self, name: str) -> bytes:
        if not self._file.exists(name):
            return b""
        if self._file.get_size(name) > _MAX_STREAM:
            raise Refusal("too_large", "a stream")
        try:
            return self._file.openstream(name).read()
        except (OSError, struct.error) as error:
            raise Refusal("damaged", "a stream") from error
