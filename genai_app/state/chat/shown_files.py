"""Files in a dialog: those of its questions, and what its answers used of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from genai_app.access import Actor
from genai_app.i18n import LOCALES
from genai_app.models import Author, Message
from genai_app.services import services
from genai_app.services.dialogs.branches import Branch
from genai_app.services.files.citations import find_citations
from genai_app.services.files.usage import FileUse, files_used
from genai_app.state.files import halves_of

FILE_ANCHOR = "#file-"  # the beginning of an address that opens a file: `#file-<id>-<page>`
_LAST_SPACE = re.compile(r" (?=\d+$)")  # a line does not end before the number
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


@dataclass
class FileUseRow:
    """A file that an answer was made with. `text`: how much of it, by language; `page`: the first
    that was used, 0 for none in particular. `how`: see FileUse."""

    id: str
    head: str
    tail: str
    kind: str
    how: str
    page: int
    text: dict[str, str]


async def with_files(branch: Branch, actor: Actor) -> Branch:
    """Returns a branch with the files of its questions."""
    ids = [each.id for each in branch.messages if each.author == Author.USER]
    if not ids:
        return branch
    return replace(branch, files=await services().files.of_messages(actor, ids))


def used_files(uses: Sequence[FileUse]) -> list[FileUseRow]:
    """Returns the rows of the files that an answer was made with."""
    rows: list[FileUseRow] = []
    for use in uses:
        head, tail = halves_of(use.name)
        rows.append(
            FileUseRow(
                id=use.id,
                head=head,
                tail=tail,
                kind=use.kind,
                how=use.how,
                page=use.used[0] if use.used else 0,
                text={locale: use.text(locale) for locale in LOCALES},
            )
        )
    return rows


def cited(message: Message) -> str:
    """Returns the text of an answer in Markdown, in which what names a file and its page is a link
    that opens it there."""
    uses = files_used(message.files_used)
    if not uses:
        return message.text
    parts: list[str] = []
    at = 0
    for each in find_citations(message.text, uses):
        label = _PUNCTUATION.sub(r"\\\1", each.mark.strip("[]"))
        label = _LAST_SPACE.sub("\u00a0", label)
        link = f"[{label}]({FILE_ANCHOR}{each.file_id}-{each.page})"
        parts += [message.text[at : each.start], link]
        at = each.end
    return "".join([*parts, message.text[at:]])
