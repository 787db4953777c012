"""Files of dialogs in review: what the model was given of them, and names that stay hidden."""

import pytest

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import Forbidden, NotFound
from genai_app.models import Attachment, Message, MessageAttachment, new_id
from genai_app.services.audit.events import Audit
from genai_app.services.files.usage import FileUse, files_used, uses_to_json
from genai_app.services.review import names as review_names
from genai_app.services.review.admission import Admission
from genai_app.services.review.crowds import hide_file_names
from genai_app.services.review.files import ReviewedFiles
from tests.unit.review_rows import SECRET, MakeReviews, events_of, put_review
from tests.unit.talk import later

pytest_plugins = ("tests.unit.review_fixtures",)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Иванов И. И., паспорт.PDF", "*.pdf"),
        ("Иванов", "*"),
        ("отчёт.Иванов Иван Иванович", "*"),
        ("архив.tar.gz", "*.gz"),
        (".env", "*.env"),
    ],
)
def test_a_name_is_hidden_with_its_user(name: str, shown: str) -> None:
    file = Attachment(user_id=new_id(), name=name, sha256=b"0" * 32)
    use = FileUse(str(file.id), name, "pdf", "page", 3, "parts", (1,))
    answer = Message(dialog_id=new_id(), user_id=new_id(), author="assistant")
    answer.files_used = uses_to_json([use])
    hide_file_names([answer], {new_id(): [file]})
    assert file.name == shown
    assert [each.name for each in files_used(answer.files_used)] == [shown]


async def put_file(db: Database, actor: Actor) -> tuple[str, str]:
    """A dialog with a file. Returns their ids."""
    dialog_id, question_id, _ = await put_review(db, actor)
    file = Attachment(user_id=actor.user_id, name="Петрова.pdf", sha256=b"0" * 32)
    async with db.write() as session:
        session.add(file)
        await session.flush()
        session.add(MessageAttachment(message_id=question_id, attachment_id=file.id))
    return str(dialog_id), str(file.id)


def opens(db: Database, mode: review_names.Mode = "named") -> ReviewedFiles:
    return ReviewedFiles(db, Admission(Audit(db), mode), SECRET, mode)


async def test_further_pages_belong_to_a_look(
    db: Database,
    as_alice: Actor,
    as_rita: Actor,
    as_roman: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the reviewer's own, of this file, within an hour; the audit has each of them."""
    files = opens(db)
    dialog_id, file_id = await put_file(db, as_alice)
    await files.open(as_roman, dialog_id, file_id)
    for is_further in (True, True, False, True):
        await files.open(as_rita, dialog_id, file_id, is_further=is_further)
    looks = await events_of(db, "file_read")
    assert [each.actor_name for each in looks] == ["roman", "rita", "rita"]
    assert {each.subject_id for each in looks} == {as_alice.user_id}
    further = await events_of(db, "dialog_list")
    assert [(each.target, each.details) for each in further] == [(dialog_id, f"file={file_id}")] * 2
    later(monkeypatch, review_names.ONE_READING_S + 1)
    await files.open(as_rita, dialog_id, file_id, is_further=True)
    assert len(await events_of(db, "file_read")) == 4


async def test_nobody_else_opens_one(
    db: Database, make_reviews: MakeReviews, as_alice: Actor, as_bob: Actor, as_rita: Actor
) -> None:
    """Neither a user, nor before a reveal, nor by another dialog; a refusal is no look."""
    dialog_id, file_id = await put_file(db, as_alice)
    other_id, other_file = await put_file(db, as_alice)
    for actor in (as_alice, as_bob):
        with pytest.raises(Forbidden):
            await opens(db).open(actor, dialog_id, file_id)
    for wrong in ((dialog_id, other_file), (other_id, file_id), (dialog_id, "x"), ("x", file_id)):
        with pytest.raises(NotFound):
            await opens(db).open(as_rita, *wrong)
    hidden = opens(db, "pseudonymous")
    for is_further in (False, True):
        with pytest.raises(Forbidden, match="reveal_first"):
            await hidden.open(as_rita, dialog_id, file_id, is_further=is_further)
    with pytest.raises(Forbidden, match="review_off"):
        await opens(db, "off").open(as_rita, dialog_id, file_id)
    assert await events_of(db, "file_read") == []
    await make_reviews("pseudonymous").reveal(as_rita, dialog_id, "Жалоба на грубый ответ")
    assert (await hidden.open(as_rita, dialog_id, file_id)).name == "Петрова.pdf"
    assert len(await events_of(db, "file_read")) == 1
