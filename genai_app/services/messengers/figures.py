"""The metrics of messengers."""

from prometheus_client import Counter, Gauge

from genai_app.metrics import REGISTRY

_polls = Gauge(
    "genai_messenger_polls",
    "1 in the process that reads the updates of this messenger's bot",
    ("messenger",),
    registry=REGISTRY,
)
_answered = Gauge(
    "genai_messenger_answered_timestamp_seconds",
    "When the messenger last answered to a read of updates",
    ("messenger",),
    registry=REGISTRY,
)
_updates = Counter(
    "genai_messenger_updates",
    "Updates read from a messenger",
    ("messenger",),
    registry=REGISTRY,
)
_answers = Counter(
    "genai_messenger_answers",
    "Answers shown whole in a messenger",
    ("messenger",),
    registry=REGISTRY,
)
_failures = Counter(
    "genai_messenger_failures",
    "Calls of a messenger that failed: reads of updates, messages over its limits",
    ("messenger", "call"),
    registry=REGISTRY,
)


def note_polling(messenger: str, *, polls: bool) -> None:
    """Notes whether this process reads the updates of a messenger."""
    _polls.labels(messenger).set(polls)


def count_updates(messenger: str, count: int) -> None:
    """Counts updates that came from a messenger, and notes that it answered."""
    _updates.labels(messenger).inc(count)
    _answered.labels(messenger).set_to_current_time()


def count_failure(messenger: str) -> None:
    """Counts a read of updates that failed."""
    _failures.labels(messenger, "updates").inc()


def count_refusal(messenger: str) -> None:
    """Counts a message or edit that a messenger refused for its limits."""
    _failures.labels(messenger, "limit").inc()


def count_answer(messenger: str) -> None:
    """Counts an answer that was shown whole."""
    _answers.labels(messenger).inc()
