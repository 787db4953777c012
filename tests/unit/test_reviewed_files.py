"""Files of dialogs in review: what the model was given of them, and names that stay hidden."""

import pytest

from genai_app.models import Attachment, Message, new_id
from genai_app.services.files.usage import FileUse, files_used, uses_to_json
from genai_app.services.review.crowds import hide_file_names


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
