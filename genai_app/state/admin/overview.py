"""The figures of `/admin`, as the page draws them. They follow by themselves while it is open."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import reflex as rx

from genai_app.access import Actor
from genai_app.errors import AppError
from genai_app.i18n import LOCALES, translate
from genai_app.models import Role, Source
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.backup.store import BackupState, backup_state
from genai_app.services.doctor.health import Health, check_dependencies
from genai_app.services.statistics.figures import Overview, Point
from genai_app.services.statistics.periods import Period
from genai_app.site_map import OVERVIEW
from genai_app.state.dates import clock_text, day_text
from genai_app.state.page import address
from genai_app.state.presence import Page

REFRESH_S = 10.0
HEIGHT = 100.0
STEP, WIDTH = 10.0, 8.0
MAX_CHOICE = 200
EVERY = "*"  # of a choice in which "" is one of the names


@dataclass
class Bar:
    """An hour or day of the chart. From the bottom up: made by the model, reused, failed; lengths
    as SVG writes them."""

    x: str
    title: dict[str, str]
    model_y: str
    model_height: str
    reused_y: str
    reused_height: str
    failed_y: str
    failed_height: str


@dataclass
class Share:
    """A department or model, and how much of all it asked for."""

    name: str
    count: str
    share: float


@dataclass
class HealthRow:
    """A dependency. `text`: its state in words, by language. `endpoint`: the host of a model
    server."""

    name: str
    up: bool
    text: dict[str, str]
    endpoint: str = ""


class OverviewState(rx.State):
    """The period, department and model that are chosen, and the figures drawn for them."""

    loaded: bool = False
    error_code: str = ""
    period: str = Period.DAY
    department: str = EVERY
    model: str = EVERY
    departments: list[str] = []
    models: list[str] = []

    answers: str = "0"
    users: str = "0"
    tokens: str = "0"
    cache_share: str = "0"
    failed: str = "0"
    limits_hit: str = "0"
    first_p50: str = "—"
    first_p95: str = "—"
    total_p50: str = "—"
    total_p95: str = "—"
    model_time: dict[str, str] = {}
    saved_time: dict[str, str] = {}
    bars: list[Bar] = []
    highest: str = "0"
    first_label: dict[str, str] = {}
    last_label: dict[str, str] = {}
    by_department: list[Share] = []
    by_model: list[Share] = []
    health: list[HealthRow] = []

    @rx.event
    @allowed(Role.REVIEWER)
    async def choose(self, name: str, text: str):
        """Another period, department or model."""
        options = {"period": list(Period), "department": self.departments, "model": self.models}
        if name in options and (text in options[name] or (text == EVERY and name != "period")):
            setattr(self, name, str(text)[:MAX_CHOICE])
            await self._load(acting())
            return rx.redirect(address(OVERVIEW.address, self._in_address()), replace=True)
        return None

    def _choose(self, chosen: dict[str, str]) -> None:
        """Takes the choice from the page's address."""
        self.period = chosen["period"] if chosen["period"] in tuple(Period) else Period.DAY
        self.department, self.model = chosen["department"] or EVERY, chosen["model"] or EVERY

    def _in_address(self) -> dict[str, str]:
        """Returns the choices that differ from those of a page that is opened first."""
        usual = {"period": str(Period.DAY), "department": EVERY, "model": EVERY}
        chosen = {name: str(getattr(self, name)) for name in usual}
        return {name: value for name, value in chosen.items() if value != usual[name]}

    @rx.event(background=True, supersedes=True)
    @allowed(Role.REVIEWER)
    async def watch(self):
        """Read everything anew every few seconds, as long as the page is there."""
        actor, page = acting(), Page()
        while True:
            rows = [health_row(each) for each in await check_dependencies(services())]
            backups = await asyncio.to_thread(backup_state, services().settings)
            if backups.watched:
                rows.append(backup_row(backups))
            async with self:
                self.health = rows
            await asyncio.sleep(REFRESH_S)
            if not page.is_there:
                return
            async with self:
                await self._load(actor)

    async def _load(self, actor: Actor) -> None:
        overviews = services().overviews
        try:
            overview = await overviews.get(
                actor,
                Period(self.period),
                department=None if self.department == EVERY else self.department,
                model=None if self.model == EVERY else self.model,
            )
            self.departments = await overviews.list_departments()
            self.models = await overviews.list_models()
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        self._fill(overview)
        self.loaded = True

    def _fill(self, overview: Overview) -> None:
        self.answers, self.failed = number(overview.answers), number(overview.failed)
        self.users = "—" if self.model != EVERY else number(overview.users)
        self.tokens = number(overview.prompt_tokens + overview.completion_tokens)
        self.cache_share = f"{100 * overview.cache_share:.0f}"
        self.limits_hit = number(overview.limits_hit)
        self.first_p50, self.first_p95 = seconds(overview.first.p50), seconds(overview.first.p95)
        self.total_p50, self.total_p95 = seconds(overview.total.p50), seconds(overview.total.p95)
        self.model_time, self.saved_time = duration(overview.model_ms), duration(overview.saved_ms)
        hourly = Period(self.period) is Period.DAY
        highest = max((point.answers for point in overview.points), default=0)
        self.highest = number(highest)
        self.bars = [
            bar(n, point, max(highest, 1), hourly=hourly) for n, point in enumerate(overview.points)
        ]
        self.first_label = label(overview.points[0].begin, hourly=hourly)
        self.last_label = label(overview.points[-1].begin, hourly=hourly)
        self.by_department = shares(overview.departments)
        self.by_model = shares(overview.models)


def health_row(health: Health) -> HealthRow:
    milliseconds = max(1, round(health.seconds * 1000))
    texts: dict[str, str] = {}
    for locale in LOCALES:
        if health.up:
            texts[locale] = translate(locale, "health.up", milliseconds=milliseconds)
        else:
            texts[locale] = translate(locale, "health.down")
        if (load := health.load) is not None:
            key = "health.paused" if load.paused else "health.slots"
            texts[locale] += " · " + translate(locale, key, used=load.used, most=load.most)
    return HealthRow(health.name, health.up, texts, health.endpoint)


def backup_row(state: BackupState) -> HealthRow:
    """The age of the newest backup, or what is wrong."""
    hours = round((state.age_s or 0) / 3600)
    if state.age_s is None:
        key = "health.backup_none"
    elif state.overdue:
        key = "health.backup_overdue"
    else:
        key = "health.backup_age" if state.well else "health.drill_failed"
    texts = {locale: translate(locale, key, hours=hours) for locale in LOCALES}
    return HealthRow("backup", state.well, texts)


def bar(position: int, point: Point, highest: int, *, hourly: bool) -> Bar:
    made = point.by_source.get(Source.MODEL, 0)
    reused = sum(point.by_source.values()) - made
    heights = [HEIGHT * count / highest for count in (made, reused, point.failed)]
    when = label(point.begin, hourly=hourly)
    titles = {
        locale: translate(
            locale,
            "overview.bar",
            when=when[locale],
            answers=point.answers,
            given=reused,
            failed=point.failed,
            users=point.users,
        )
        for locale in LOCALES
    }
    tops = [HEIGHT - sum(heights[: n + 1]) for n in range(3)]
    lengths = [f"{each:.2f}" for pair in zip(tops, heights, strict=True) for each in pair]
    return Bar(f"{position * STEP:g}", titles, *lengths)


def label(moment: datetime, *, hourly: bool) -> dict[str, str]:
    if hourly:
        return dict.fromkeys(LOCALES, clock_text(moment))
    return day_text(moment)


def shares(counts: Sequence[tuple[str, int]]) -> list[Share]:
    most = max((count for _, count in counts), default=1)
    return [Share(name, number(count), count / most) for name, count in counts]


def number(count: int) -> str:
    """With a narrow space between thousands, which both languages read."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def seconds(ms: float | None) -> str:
    if ms is None:
        return "—"
    return f"{ms / 1000:.1f}" if ms >= 100 else f"{ms / 1000:.2f}"


def duration(ms: int) -> dict[str, str]:
    """`3 h 12 min`, by language."""
    minutes, rest = divmod(round(ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return {
            lang: translate(lang, "overview.h_min", h=number(hours), min=minutes)
            for lang in LOCALES
        }
    return {lang: translate(lang, "overview.min_s", min=minutes, s=rest) for lang in LOCALES}
