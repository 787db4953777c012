"""Questions that say what the scripted model shall answer, and finding them again there."""

import uuid

from tests.fakes.model_records import RequestRecord
from tests.fakes.model_server import ModelServer


def question(directive: str = "", words: str = "") -> str:
    """A text that no other test sends; `directive` as in model_steps.py, without `fake:`."""
    text = f"{words or 'question'} {uuid.uuid4().hex}"
    return f"{text} fake:{directive}" if directive else text


def asked(model: ModelServer, text: str) -> list[RequestRecord]:
    """The model calls whose last message is `text`."""
    return [each for each in model.answers if each.messages[-1]["content"] == text]
