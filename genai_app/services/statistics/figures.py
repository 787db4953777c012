"""The figures of an overview: their shapes, and how they are computed from sums."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from genai_app.models import Source, Status
from genai_app.services.statistics.usage import FIRST, TOTAL, Sums, of_bucket

TOP = 8  # departments, and models, that an overview names
FAILED = (Status.FAILED, Status.INTERRUPTED)


@dataclass(slots=True)
class Point:
    """An hour or day of the chart. `by_source`: answers by source, without failed ones."""

    begin: datetime
    by_source: Counter[str] = field(default_factory=Counter[str])
    failed: int = 0
    users: int = 0

    @property
    def answers(self) -> int:
        return self.by_source.total() + self.failed

    def add(self, source: str, status: str, answers: int) -> None:
        if status in FAILED:
            self.failed += answers
        else:
            self.by_source[source] += answers


@dataclass(frozen=True, slots=True)
class Times:
    """Percentiles in milliseconds; None without answers."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All figures of the page. `model_ms`: the total time of model runs; `saved_ms`: the time that
    cached answers would have taken at the same speed."""

    begin: datetime
    points: list[Point]
    answers: int
    failed: int
    users: int
    prompt_tokens: int
    completion_tokens: int
    by_source: Mapping[str, int]
    first: Times
    total: Times
    limits_hit: int
    model_ms: int
    saved_ms: int
    departments: list[tuple[str, int]]
    models: list[tuple[str, int]]

    @property
    def cache_share(self) -> float:
        """The share of cached and verified answers in all answers, 0 to 1."""
        reused = self.by_source.get(Source.CACHE, 0) + self.by_source.get(Source.VERIFIED, 0)
        return reused / self.answers if self.answers else 0.0


def overview_of(
    begin: datetime,
    points: list[Point],
    sums: Mapping[tuple[str, ...], Sums],
    latency: Counter[tuple[str, int]],
    users: int,
    limits_hit: int,
) -> Overview:
    """Computes an overview.

    Args:
        sums: sums by department, model, source and status.
        latency: answers by kind (FIRST or TOTAL) and bucket.
        users: how many users asked.
    """
    by_source: Counter[str] = Counter()
    departments: Counter[str] = Counter()
    models: Counter[str] = Counter()
    failed = model_ms = cached_tokens = prompt_tokens = completion_tokens = 0
    for (department, model, source, status), each in sums.items():
        by_source[source] += each.answers
        departments[department] += each.answers
        models[model] += each.answers
        failed += each.answers if status in FAILED else 0
        if source == Source.MODEL:
            model_ms += each.total_ms
            prompt_tokens += each.prompt_tokens
            completion_tokens += each.completion_tokens
        elif source == Source.CACHE:
            cached_tokens += each.completion_tokens
    saved = model_ms * cached_tokens / completion_tokens if completion_tokens else 0
    return Overview(
        begin=begin,
        points=points,
        answers=by_source.total(),
        failed=failed,
        users=users,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        by_source=by_source,
        first=_times(latency, FIRST),
        total=_times(latency, TOTAL),
        limits_hit=limits_hit,
        model_ms=model_ms,
        saved_ms=round(saved),
        departments=departments.most_common(TOP),
        models=models.most_common(TOP),
    )


def _times(latency: Counter[tuple[str, int]], kind: str) -> Times:
    counts = sorted((bucket, count) for (each, bucket), count in latency.items() if each == kind)
    return Times(percentile(counts, 0.5), percentile(counts, 0.95))


def percentile(counts: Iterable[tuple[int, int]], share: float) -> float | None:
    """Returns the time in milliseconds that `share` of the answers stay below; None without
    answers. `counts`: (bucket, answers), sorted."""
    listed = list(counts)
    left = share * sum(count for _, count in listed)
    for bucket, count in listed:
        left -= count
        if left <= 0:
            return of_bucket(bucket)
    return None
