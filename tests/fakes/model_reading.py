"""Reading whole answers through the client, for tests."""

from collections.abc import Callable

from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.llm.dialects import ChatTurn, Finish, TextDelta
from genai_app.errors import AppError

TURNS = [ChatTurn("system", "Be brief."), ChatTurn("user", "Hello")]
MakeLlm = Callable[..., LlmClient]


async def read(client: LlmClient, turns: list[ChatTurn] = TURNS) -> tuple[str, Finish]:
    """A whole answer: its text, its end."""
    items = [item async for item in client.stream(turns, max_tokens=100)]
    *pieces, finish = items
    assert isinstance(finish, Finish)
    assert sum(piece.tokens for piece in pieces if isinstance(piece, TextDelta)) > 0
    return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)), finish


async def read_until_error(
    client: LlmClient, at_piece: Callable[[], object] = lambda: None
) -> tuple[str, AppError]:
    """The text that came before the error, and the error. `at_piece` is called at each piece."""
    text = ""
    try:
        async for item in client.stream(TURNS, max_tokens=100):
            assert isinstance(item, TextDelta)
            text += item.text
            at_piece()
    except AppError as error:
        return text, error
    raise AssertionError(f"no error came, but the end of {text!r}")
