"""The model servers as this process sees them: how busy each is, and what its answers mean."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from genai_app.adapters.llm.breaker import BreakerState, CircuitBreaker
from genai_app.errors import AppError, InvalidInput, ModelFailed, ModelRefused, ModelUnavailable

# Waits for a turn at a server, preferably not the given one. Entered with the one to call, left
# when the call has ended. Raises ModelUnavailable.
Turns = Callable[["Endpoint | None"], AbstractAsyncContextManager["Endpoint"]]


class Endpoint:
    """A model server.

    Args:
        url: without a trailing /v1.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = urlsplit(url).netloc.rpartition("@")[2]  # for people; it may stand in a log
        self.in_flight = 0
        self.breaker = CircuitBreaker()

    def begin(self) -> bool:
        """Counts a run that begins. Returns whether it is the probe."""
        self.in_flight += 1
        return self.breaker.probe_is_out and self.breaker.state is not BreakerState.CLOSED

    def end(self, *, probe: bool) -> None:
        """Counts a run that is over. A probe that its user stopped is free for another run."""
        self.in_flight -= 1
        if probe:
            self.breaker.withdraw()

    def judge(self, error: AppError, *, begun: bool) -> None:
        """Learns from the error of a run. `begun`: after its first token, which says enough."""
        if begun:
            return
        if error.code == "model_busy":
            self.breaker.leave_alone(error.retry_after_s or 1)
        elif isinstance(error, InvalidInput | ModelFailed | ModelRefused) or error.code in (
            "model_auth",
            "model_unknown",
        ):
            if error.code != "model_total_timeout":
                self.breaker.succeed()  # it refused, so it lives
        else:
            self.breaker.fail()


def refusal_of(endpoints: Sequence[Endpoint], patience_s: float) -> ModelUnavailable | None:
    """Returns the error with the shortest wait where waiting `patience_s` is in vain everywhere;
    None where it may help."""
    refusals = [each.breaker.refusal(patience_s) for each in endpoints]
    if None in refusals:
        return None
    return min((each for each in refusals if each), key=lambda each: each.retry_after_s or 0)
