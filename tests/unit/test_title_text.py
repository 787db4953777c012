"""What of a model's reply becomes the title of a dialog."""

import pytest

from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.models import Author
from genai_app.services.chat.title_text import MAX_CHARS, SHOWN_CHARS, title_in, title_turns

GOOD = {
    "Отпуск летом": "Отпуск летом",
    "«Отпуск летом»": "Отпуск летом",
    '"Отпуск летом."': "Отпуск летом",
    "„Отпуск летом“": "Отпуск летом",
    "'Summer leave'": "Summer leave",
    "Название: Отпуск летом.": "Отпуск летом",
    "**Название:** «Отпуск летом»": "Отпуск летом",
    "Заголовок — Отпуск летом": "Отпуск летом",
    "Title of the conversation: Summer leave": "Summer leave",
    "Title: \n\nSummer leave\n": "Summer leave",
    "Here is a title:\n\n**Summer leave**": "Summer leave",
    "# Summer leave": "Summer leave",
    "- Summer leave": "Summer leave",
    "1. Summer leave": "Summer leave",
    "```\nSummer leave\n```": "Summer leave",
    "`Summer leave`": "Summer leave",
    "Summer\nleave": "Summer leave",
    '"Отпуск\nв июле."': "Отпуск в июле",
    "Summer\u2028leave\ttwo": "Summer leave two",
    "[Summer leave](https://example.com/x)": "Summer leave",
    "<b>Summer leave</b>": "Summer leave",
    "\u202eSummer\u200b leave\u0007": "Summer leave",
    "<think>\nA title, hm.\n</think>\n\nSummer leave": "Summer leave",
    "so it is about leave</think>Summer leave": "Summer leave",
    # what belongs to a title stays
    "Почему небо голубое?": "Почему небо голубое?",
    "Ура!": "Ура!",
    "Title-case rules in CSS": "Title-case rules in CSS",
    "Тематический план": "Тематический план",
    "Сравнение «А» и «Б»": "Сравнение «А» и «Б»",
    '"Война" и "мир"': '"Война" и "мир"',
    "C# и F#": "C# и F#",
    "2024. Итоги года": "2024. Итоги года",
    "Release 1.2.3": "Release 1.2.3",
    "夏季休暇": "夏季休暇",
    "x" * MAX_CHARS: "x" * MAX_CHARS,
}
NONE = (
    "",
    "   \n\t ",
    ".",
    "«»",
    '""',
    "Title:",
    "**Название:**",
    "```\n```",
    "…",
    "🎉🎉",
    "\u200b\u202e",
    "x" * (MAX_CHARS + 1),
    "Summer leave\n\n" + "This title says what the conversation is about. " * 3,
    "<think>A title, hm",
)


@pytest.mark.parametrize(("reply", "title"), GOOD.items())
def test_a_reply_becomes_a_plain_title(reply: str, title: str) -> None:
    assert title_in(reply) == title


@pytest.mark.parametrize("reply", NONE)
def test_a_reply_without_a_title_becomes_none(reply: str) -> None:
    assert title_in(reply) is None


@pytest.mark.parametrize(
    ("question", "ask"),
    [("Как взять отпуск в HR?", "Название:"), ("How do I take leave?", "Title:"), ("?!", "Title:")],
)
def test_the_model_is_asked_in_the_language_of_the_question(question: str, ask: str) -> None:
    turns = title_turns([(Author.USER, question), (Author.ASSISTANT, "Да, yes.")])
    assert [turn.role for turn in turns] == [Author.SYSTEM, Author.USER]
    assert question in turns[-1].content
    assert turns[-1].content.endswith(ask)


def test_a_long_conversation_is_shortened() -> None:
    turns = title_turns([(Author.USER, "a " * 50_000), (Author.ASSISTANT, "b\n" * 50_000)])
    assert sum(len(turn.content) for turn in turns) < 2 * SHOWN_CHARS + 500
    assert isinstance(turns[0], ChatTurn)
