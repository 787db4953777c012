"""Files in dialogs of others, for reviewers. Each look is audited, and shown to the file's user."""

from genai_app.access import Actor, get_reviewed_attachment, parse_id
from genai_app.db.database import Database
from genai_app.errors import Forbidden, NotFound
from genai_app.models import Attachment
from genai_app.services.audit.events import Action, event
from genai_app.services.review.admission import Admission, Mode
from genai_app.services.review.names import ONE_READING_S, Names, has_event


class ReviewedFiles:
    """Opens files of anybody's dialogs.

    Args:
        secret: the keys of pseudonyms are derived from it.
        mode: GENAI_REVIEW_MODE.
    """

    def __init__(self, db: Database, admission: Admission, secret: bytes, mode: Mode) -> None:
        self._db = db
        self._admission = admission
        self._names = Names(secret, mode)

    async def open(
        self, actor: Actor, dialog_id: object, file_id: object, *, is_further: bool = False
    ) -> Attachment:
        """Returns a file that was sent with a question of the dialog, also one that its user
        deleted while a legal hold kept it.

        `is_further`: the request is for another page of it; its user sees one look in an hour.

        Raises:
            Forbidden: also reveal_first: a file may name its user, who is not revealed yet.
            NotFound.
        """
        await self._admission.check(actor, "files")
        dialog = parse_id(dialog_id)
        async with self._db.write() as session:
            row = await get_reviewed_attachment(session, actor, dialog, file_id)
            if row.wiped_at is not None:
                raise NotFound
            if not (self._names.named or await self._names.is_revealed(session, actor, dialog)):
                raise Forbidden(code="reveal_first")
            file = f"file={row.id}"
            is_same_look = is_further and await has_event(
                session, actor, Action.FILE_READ, dialog, ONE_READING_S, details=file
            )
            # as with dialogs, further pages are for the audit alone
            action = Action.DIALOG_LIST if is_same_look else Action.FILE_READ
            session.add(
                event(action, by=actor, target=str(dialog), subject=row.user_id, file=row.id)
            )
        return row
