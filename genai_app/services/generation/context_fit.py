"""Makes a request fit into the model's context: the oldest messages are left out, the answer gets
what is left. Counted by the model server's own tokenizer where it has one, else estimated; then the
server has the last word, and its numbers are used for a second try."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from genai_app.adapters.llm.catalogue import Window
from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.llm.dialects import ChatTurn, begun_answer
from genai_app.errors import ContextTooLong
from genai_app.models import Author
from genai_app.services.generation.context import TEMPLATE_TOKENS, estimate_tokens

DEFAULT_CONTEXT_TOKENS = 8192  # where neither a server nor the settings say more
LEAST_ANSWER_TOKENS = 256  # an answer is worth beginning with so much room, or an eighth of all
COUNTS = 3  # times that a server's tokenizer is asked for one answer


@dataclass(frozen=True, slots=True)
class Request:
    """The request of one run to the model.

    `window`: how many tokens the model takes. `may_trim`: the oldest messages may be left out.
    `personal`: the turns have the user's own instructions or files in them, so the answer is this
    user's only. `files`: hashes of those files.
    """

    turns: Sequence[ChatTurn]
    max_tokens: int
    temperature: float | None = None
    model: str | None = None
    sampling: tuple[tuple[str, object], ...] = ()
    window: Window | None = None
    may_trim: bool = False
    personal: bool = False
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fitted:
    """A request that fits, as far as an estimate or the tokenizer says. `left_out`: messages that
    it lacks."""

    request: Request
    left_out: int = 0


def usable_window(served: Window | None, lowered_to: int | None) -> Window:
    """Returns the window of a model: that of its servers, or less where the settings say so."""
    total = lowered_to or DEFAULT_CONTEXT_TOKENS
    if served is None:
        return Window(total, total)
    return served if lowered_to is None else served & Window(lowered_to, lowered_to)


async def fitted(llm: LlmClient, request: Request) -> Fitted:
    """Returns the request as it is, where an estimate says that it fits; else the part that fits.

    Raises:
        ContextTooLong: the server's tokenizer says that nothing of it would fit.
    """
    window = request.window
    if window is None or _fits(request, estimate(request.turns), window):
        return Fitted(request)
    left_out, scale = 0, 1.0
    for _ in range(COUNTS):
        counted = await llm.count_tokens(request.turns, request.model)
        if counted is None:  # what is only estimated is not refused: the server decides
            smaller, more = _without_oldest(request, window, scale)
            return Fitted(_shortened(smaller, estimate(smaller.turns)), left_out + more)
        counted += picture_tokens(request.turns)  # the text alone is counted
        if _fits(request, counted, window):
            break
        scale = counted / estimate(request.turns)
        smaller, more = _without_oldest(request, window, scale)
        if not more:
            _check(request, scale, counted, window)
            return Fitted(_shortened(request, counted), left_out)
        request, left_out = smaller, left_out + more
    return Fitted(request, left_out)


def refitted(request: Request, refusal: ContextTooLong) -> Fitted:
    """Returns the part of a request that fits after the server refused it as too long.

    Raises:
        ContextTooLong: nothing can be left out of it any more.
    """
    window = request.window or usable_window(None, None)
    total, counted = refusal.params.get("window"), refusal.params.get("asked")
    if isinstance(total, int) and total > 0:
        window &= Window(total, total)
    estimated = estimate(request.turns)
    if isinstance(counted, int) and counted > 0:
        asked, is_counted = counted, True
    else:
        # at least so much, or it would not have been refused; at worst a token for each character
        asked, is_counted = max(estimated, window.total - request.max_tokens + 1), False
        if len(request.turns) > 2:
            asked = max(asked, sum(len(turn.content) + TEMPLATE_TOKENS for turn in request.turns))
    if asked + request.max_tokens <= window.total and asked <= window.prompt:
        asked = window.total - request.max_tokens + 1  # it counts another way than it says
    scale = asked / estimated
    smaller, left_out = _without_oldest(request, window, scale)
    if not is_counted and not left_out and window == request.window and estimated < asked:
        raise refusal  # it says nothing that would help
    tokens = math.ceil(estimate(smaller.turns) * scale) if left_out else asked
    _check(smaller, scale, tokens, window)
    shorter = _shortened(replace(smaller, window=window), tokens)
    if not left_out and shorter.max_tokens == request.max_tokens:
        raise refusal
    return Fitted(shorter, left_out)


def estimate(turns: Sequence[ChatTurn]) -> int:
    """Returns about how many tokens a prompt has."""
    return sum(estimate_tokens(turn.content) for turn in turns) + picture_tokens(turns)


def picture_tokens(turns: Sequence[ChatTurn]) -> int:
    """Returns about how many tokens the pictures of a prompt are."""
    return sum(picture.tokens for turn in turns for picture in turn.pictures)


def _fits(request: Request, tokens: int, window: Window) -> bool:
    return tokens + request.max_tokens <= window.total and tokens <= window.prompt


def _reserve(request: Request, window: Window) -> int:
    """Returns the tokens of an answer below which it is not begun."""
    return min(request.max_tokens, LEAST_ANSWER_TOKENS, max(window.total // 8, 1))


def _shortened(request: Request, tokens: int) -> Request:
    """Returns the request with an answer no longer than the prompt leaves of the window."""
    window = request.window
    if window is None:
        return request
    left = max(window.total - tokens, _reserve(request, window))
    return replace(request, max_tokens=min(request.max_tokens, left))


def _without_oldest(request: Request, window: Window, scale: float) -> tuple[Request, int]:
    """Returns the request without so many of its oldest messages that the rest fits by an estimate
    times `scale`, and how many were left out. Instructions and question stay."""
    turns, left_out = list(request.turns), 0
    first = 1 if turns and turns[0].role == Author.SYSTEM else 0
    kept = 2 if begun_answer(turns) else 1  # an answer goes on below its question
    while request.may_trim and len(turns) > first + kept:
        if _fits(request, math.ceil(estimate(turns) * scale), window):
            break
        del turns[first]
        left_out += 1
        while len(turns) > first + kept and turns[first].role == Author.ASSISTANT:
            del turns[first]  # an answer must not open the context
            left_out += 1
    return replace(request, turns=turns), left_out


def _check(request: Request, scale: float, tokens: int, window: Window) -> None:
    """Raises ContextTooLong, naming the part that is too long, unless a prompt of `tokens` leaves
    room for an answer."""
    limit = min(window.total - _reserve(request, window), window.prompt)
    over_by = tokens - limit
    if over_by <= 0:
        return
    *earlier, question = request.turns
    instructions = [turn for turn in earlier if turn.role == Author.SYSTEM]
    room = limit - math.ceil(estimate(instructions) * scale)
    what, texts = "messages", list(request.turns)
    if room <= 0:
        what, texts = "instructions", instructions
    elif math.ceil(estimate([question]) * scale) > room or len(earlier) == len(instructions):
        what, texts, limit = "question", [question], room
    chars = sum(len(turn.content) for turn in texts)
    each = chars / max(estimate(texts) * scale, 1)
    raise ContextTooLong(
        what=what, over_by=over_by, limit=max(limit, 0), over_chars=_rounded_up(over_by * each)
    )


def _rounded_up(number: float) -> int:
    """Rounds up to two significant digits: 1234 -> 1300."""
    step = 10 ** max(len(str(int(number))) - 2, 0)
    return max(math.ceil(number / step) * step, 1)
