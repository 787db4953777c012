"""The rows of an imported dialog. They have the moments of then, and no source: nobody asked for
these answers here, so they cost no unit and are in no figures."""

import uuid
from datetime import UTC, datetime, timedelta

from genai_app.db.statements import Row, new_row
from genai_app.i18n import translate
from genai_app.models import Author, Channel, Dialog, Message
from genai_app.models.columns import id_at
from genai_app.services.chat.turns import make_title
from genai_app.services.imports.reader.frames import ReadDialog, ReadMessage

NAMESPACE = uuid.UUID("0d7d94d5-21ae-4d0c-9b4e-5bb3a1c6f7aa")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def imported_id(user_id: uuid.UUID, dialog: ReadDialog) -> uuid.UUID:
    """Returns the id of a dialog: always the same for this user, so that it is imported once."""
    return uuid.uuid5(NAMESPACE, f"{user_id}\n{dialog.source}\n{dialog.key}")


def dialog_rows(
    user_id: uuid.UUID, dialog: ReadDialog, locale: str, now: datetime
) -> tuple[Row, list[Row]]:
    """Returns the rows of a dialog and of its messages, each behind its parent.

    Args:
        locale: of the notes in place of attachments.
    """
    dialog_id = imported_id(user_id, dialog)
    times = [_moment(each.at, now) for each in dialog.messages]
    moments = [each for each in times if each is not None]
    created = _moment(dialog.created, now) or min(moments, default=None)
    created = created or _moment(dialog.updated, now) or now
    rows: list[Row] = []
    for message, moment in zip(dialog.messages, times, strict=True):
        parent = rows[message.parent] if 0 <= message.parent < len(rows) else None
        at = moment or (parent["created_at"] if parent else created)
        # ids order siblings: without a moment by their order in the file
        after = parent if moment else (rows[-1] if rows else None)
        later = [row["id"] for row in (parent, after) if row is not None]
        rows.append(
            new_row(
                Message,
                id=id_at(at, after=max(later, default=None)),
                dialog_id=dialog_id,
                user_id=user_id,
                parent_id=parent["id"] if parent else None,
                depth=parent["depth"] + 1 if parent else 0,
                author=Author.USER if message.author == Author.USER else Author.ASSISTANT,
                channel=Channel.IMPORT,
                text=_text(message, locale),
                reasoning=message.reasoning,
                model=message.model or None,
                created_at=at,
            )
        )
    questions = (row["text"] for row in rows if row["author"] == Author.USER)
    row = new_row(
        Dialog,
        id=dialog_id,
        user_id=user_id,
        title=dialog.title or make_title(next(questions, "")),
        leaf_id=rows[min(max(dialog.leaf, 0), len(rows) - 1)]["id"],
        created_at=created,
        updated_at=max(row["created_at"] for row in rows),
        changed_at=now,
        archived_at=now if dialog.archived else None,
    )
    return row, sorted(rows, key=lambda each: each["id"])


def _moment(seconds: float | None, now: datetime) -> datetime | None:
    """Returns a moment between EARLIEST and now; None for one before, or an unknown one."""
    if seconds is None or seconds < (EARLIEST - EPOCH).total_seconds():
        return None
    # ids of the future would push away those of the next questions
    return min(now, EPOCH + timedelta(seconds=min(seconds, (now - EPOCH).total_seconds())))


def _text(message: ReadMessage, locale: str) -> str:
    notes = [
        translate(locale, "import.note_file", name=name)
        if name
        else translate(locale, "import.note_picture")
        for name in message.files
    ]
    if message.cut:
        notes.append(translate(locale, "import.note_cut"))
    return "\n\n".join(filter(None, (message.text, *notes)))
