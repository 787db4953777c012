"""The texts of answers that a page renders: each guarded, and all of them together."""

import uuid
from collections.abc import Iterable, Mapping

from genai_app.markdown.guard import BUDGET, GuardedText, displayed
from genai_app.models import Author, Message, Status
from genai_app.state.chat.shown_files import cited

PAGE_BUDGET = 2 * BUDGET


def shown_answers(messages: Iterable[Message]) -> Mapping[uuid.UUID, GuardedText]:
    """Returns what is rendered of each finished answer, by its id.

    Args:
        messages: oldest first. The newest have their part of the page's budget first.
    """
    shown: dict[uuid.UUID, GuardedText] = {}
    left = PAGE_BUDGET
    for message in reversed([*messages]):
        if message.author == Author.ASSISTANT and message.status != Status.RUNNING:
            shown[message.id] = displayed(cited(message), min(left, BUDGET))
            left = max(left - shown[message.id].cost, 0.0)
    return shown
