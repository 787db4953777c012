"""How much the scripted model server takes: counted, told and refused in the words of vLLM 0.32."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.model_records import RequestRecord
from tests.fakes.model_steps import Status
from tests.fakes.model_wire import encode

TEMPLATE_TOKENS = 4


@dataclass(frozen=True)
class Context:
    """`size`: tokens of prompt and answer together. `counts`: it has /tokenize. `is_listed`: it
    names its size with the model. `numbers`: its refusals say how many tokens there were."""

    size: int
    chars_per_token: int = 1
    counts: bool = True
    is_listed: bool = True
    numbers: bool = True

    def tokens_of(self, messages: Sequence[dict[str, Any]]) -> int:
        """The tokens of a prompt, each message in its template."""
        texts = [str(each.get("content") or "") for each in messages]
        return sum(len(text) // self.chars_per_token + TEMPLATE_TOKENS for text in texts)

    def refusal(self, record: RequestRecord) -> Status | None:
        """What vLLM says of a prompt, or an answer, that is too long."""
        asked = self.tokens_of(record.messages)
        wanted = record.parameters.get("parameters", record.parameters)
        longest = wanted.get("max_tokens") or wanted.get("max_new_tokens") or 0
        if asked + longest <= self.size:
            return None
        if not self.numbers:
            return Status(400, "The prompt is too long for the context window.")
        if asked >= self.size:
            param = "input_tokens"
            message = (
                f"This model's maximum context length is {self.size} tokens. However, your request "
                f"has {asked} input tokens. (parameter=input_tokens, value={asked})"
            )
        else:
            param = "max_tokens"
            message = (
                f"'max_tokens' or 'max_completion_tokens' is too large: {longest}. This model's "
                f"maximum context length is {self.size} tokens and your request has {asked} input "
                "tokens."
            )
        error = {"message": message, "type": "BadRequestError", "param": param, "code": 400}
        return Status(400, body=encode({"error": error}))
