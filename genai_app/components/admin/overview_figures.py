"""The figures of the overview: tiles, the chart over time, who asked, what answers."""

import reflex as rx

from genai_app.components.account.section import choice, section
from genai_app.components.admin.frame import list_state
from genai_app.components.text import decimal, of_locale, t
from genai_app.state.admin.overview import (
    EVERY,
    HEIGHT,
    STEP,
    WIDTH,
    Bar,
    HealthRow,
    OverviewState,
    Share,
)


def _tile(
    name: str,
    value: rx.Var[str],
    unit: rx.Var[str] | str = "",
    note: rx.Component | None = None,
) -> rx.Component:
    return rx.el.div(
        rx.el.dt(t(name)),
        rx.el.dd(value, rx.el.span(unit, class_name="unit")),
        note if note is not None else rx.fragment(),
        class_name="tile",
    )


def _note(text: rx.Var[str]) -> rx.Component:
    return rx.el.dd(text, class_name="quiet tile-note")


def overview_choices() -> rx.Component:
    """Which period, department and model."""
    of_all = rx.el.option(t("admin.all"), value=EVERY)

    def names(label: str, chosen, listed, field: str) -> rx.Component:
        return rx.el.label(
            rx.el.span(t(label)),
            rx.el.select(
                of_all,
                rx.foreach(
                    listed,
                    lambda name: rx.el.option(
                        rx.cond(name != "", name, t("overview.none")), value=name
                    ),
                ),
                value=chosen,
                on_change=OverviewState.choose(field),
                custom_attrs={"data-testid": f"overview-{field}"},
            ),
            class_name="filter",
        )

    periods = (
        ("day", t("overview.day")),
        ("week", t("overview.week")),
        ("month", t("overview.month")),
        ("year", t("overview.year")),
    )
    return rx.el.div(
        choice(
            t("overview.period"),
            *[
                (text, OverviewState.period == each, OverviewState.choose("period", each))
                for each, text in periods
            ],
        ),
        names(
            "people.department", OverviewState.department, OverviewState.departments, "department"
        ),
        names("overview.model", OverviewState.model, OverviewState.models, "model"),
        class_name="filters",
    )


def overview_tiles() -> rx.Component:
    """The figures that are read first."""
    s = t("overview.s")
    return rx.el.dl(
        _tile("overview.answers", OverviewState.answers),
        _tile("overview.users", OverviewState.users),
        _tile("overview.tokens", OverviewState.tokens),
        _tile(
            "overview.given",
            OverviewState.cache_share,
            "%",
            _note(t("overview.saved", time=of_locale(OverviewState.saved_time))),
        ),
        _tile(
            "overview.first",
            decimal(OverviewState.first_p50),
            s,
            _note(t("overview.p95", seconds=decimal(OverviewState.first_p95))),
        ),
        _tile(
            "overview.total",
            decimal(OverviewState.total_p50),
            s,
            _note(t("overview.p95", seconds=decimal(OverviewState.total_p95))),
        ),
        _tile("overview.failed", OverviewState.failed),
        _tile("overview.limits", OverviewState.limits_hit),
        _tile("overview.model_time", of_locale(OverviewState.model_time)),
        class_name="tiles",
        custom_attrs={"data-testid": "overview-tiles"},
    )


def _bar(bar: rx.Var[Bar]) -> rx.Component:
    def part(y, height, look: str) -> rx.Component:
        return rx.el.svg.rect(x=bar.x, y=y, width=f"{WIDTH:g}", height=height, class_name=look)

    return rx.el.svg.g(
        rx.el.svg.title(of_locale(bar.title)),
        rx.el.svg.rect(x=bar.x, y="0", width=f"{STEP:g}", height=f"{HEIGHT:g}", class_name="hover"),
        part(bar.model_y, bar.model_height, "made"),
        part(bar.reused_y, bar.reused_height, "given"),
        part(bar.failed_y, bar.failed_height, "failed"),
        key=bar.x,
    )


def _legend(look: str, name: str) -> rx.Component:
    return rx.el.span(rx.el.span(class_name=f"swatch {look}", aria_hidden=True), t(name))


def overview_chart() -> rx.Component:
    """Answers over time."""
    return rx.el.figure(
        rx.el.figcaption(
            rx.el.span(t("overview.chart"), class_name="chart-title"),
            rx.el.span(
                _legend("made", "overview.made"),
                _legend("given", "overview.given_again"),
                _legend("failed", "overview.failed_part"),
                class_name="legend",
            ),
        ),
        rx.el.div(t("overview.most", count=OverviewState.highest), class_name="quiet chart-most"),
        rx.el.svg(
            rx.foreach(OverviewState.bars, _bar),
            view_box=f"0 0 {OverviewState.bars.length() * STEP} {HEIGHT:g}",
            preserve_aspect_ratio="none",
            class_name="chart",
            role="img",
            aria_label=t("overview.chart"),
            custom_attrs={"data-testid": "overview-chart"},
        ),
        rx.el.div(
            rx.el.span(of_locale(OverviewState.first_label)),
            rx.el.span(of_locale(OverviewState.last_label)),
            class_name="quiet chart-ends",
        ),
        class_name="figure",
    )


def _share(row: rx.Var[Share]) -> rx.Component:
    name = rx.cond(row.name != "", row.name, t("overview.none"))
    return rx.el.li(
        rx.el.span(name, class_name="written"),
        rx.el.span(row.count, class_name="quiet number"),
        rx.el.progress(value=row.share, max=1, aria_label=name, class_name="usage-bar"),
        key=row.name,
        class_name="share",
    )


def _shares(title: str, rows, testid: str) -> rx.Component:
    return section(
        t(title),
        rx.cond(
            rows.length() > 0,
            rx.el.ul(
                rx.foreach(rows, _share), class_name="shares", custom_attrs={"data-testid": testid}
            ),
            rx.el.p(t("overview.nothing"), class_name="empty"),
        ),
    )


def _health(row: rx.Var[HealthRow]) -> rx.Component:
    names = (
        ("database", t("health.database")),
        ("model", t("health.model")),
        ("redis", t("health.redis")),
        ("cache", t("health.cache")),
        ("directory", t("health.directory")),
        ("backup", t("health.backup")),
    )
    return rx.el.li(
        rx.cond(
            row.up,
            rx.icon("circle-check", size=16, class_name="good", aria_hidden=True),
            rx.icon("circle-x", size=16, class_name="bad", aria_hidden=True),
        ),
        rx.el.span(
            rx.match(row.name, *names, row.name),
            rx.cond(row.endpoint != "", rx.el.span(f" {row.endpoint}", class_name="quiet")),
        ),
        rx.el.span(of_locale(row.text), class_name="quiet number"),
        key=row.name + row.endpoint,
        class_name="share",
        custom_attrs={"data-testid": "health"},
    )


def overview_figures() -> rx.Component:
    """Everything but the directory's doctor."""
    return rx.fragment(
        rx.el.section(
            overview_choices(),
            list_state(
                loading=~OverviewState.loaded,
                error_code=OverviewState.error_code,
                is_empty=rx.Var.create(False),
                empty=t("overview.nothing"),
                icon="chart-no-axes-column",
            ),
            rx.cond(OverviewState.loaded, rx.fragment(overview_tiles(), overview_chart())),
        ),
        rx.el.div(
            _shares("overview.departments", OverviewState.by_department, "overview-departments"),
            _shares("overview.models", OverviewState.by_model, "overview-models"),
            section(
                t("health.title"),
                rx.el.ul(rx.foreach(OverviewState.health, _health), class_name="shares"),
                hint=t("health.hint"),
            ),
            class_name="beside",
        ),
    )
