"""How far a reader has come in an answer that grows."""

from dataclasses import dataclass
from typing import Protocol


class Texts(Protocol):
    """An answer that grows."""

    text: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class Seen:
    """How many characters a reader has of the text and of the reasoning."""

    text: int = 0
    reasoning: int = 0

    def after(self, text: str, reasoning: str) -> "Seen":
        """Returns what the reader has after it has got these."""
        return Seen(self.text + len(text), self.reasoning + len(reasoning))

    def rest_of(self, answer: Texts) -> tuple[str, str]:
        """Returns the text and the reasoning that the reader has not got yet."""
        return answer.text[self.text :], answer.reasoning[self.reasoning :]

    def has_all_of(self, answer: Texts) -> bool:
        return len(answer.text) <= self.text and len(answer.reasoning) <= self.reasoning
