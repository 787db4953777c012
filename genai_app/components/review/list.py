"""The left pane of review: a row for each dialog, with the excerpt of a search."""

import reflex as rx
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_components_core.base.fragment import Fragment

from genai_app.components.admin.frame import list_state
from genai_app.components.review.words import badge, person, state_badge, verdict_badge, word
from genai_app.components.text import of_locale, t
from genai_app.models import Channel, Rating, Source, Status
from genai_app.state.review.dialog import ReviewDialogState
from genai_app.state.review.list import ReviewListState
from genai_app.state.review.rows import ExcerptPiece, ReviewRow


def _piece(piece: rx.Var[ExcerptPiece]) -> rx.Component:
    return rx.cond(piece.hit, rx.el.mark(piece.text), rx.el.span(piece.text))


def _badges(row: rx.Var[ReviewRow]) -> rx.Component:
    return rx.el.span(
        state_badge(row),
        verdict_badge(row.verdict),
        rx.cond(
            row.rating == Rating.DOWN,
            rx.el.span(
                rx.icon("thumbs-down", size=13, aria_hidden=True),
                rx.el.span(t("review.rating_down"), class_name="visually-hidden"),
                class_name="badge badge-danger",
            ),
        ),
        rx.cond(
            (row.status != Status.COMPLETE) & (row.status != ""),
            badge(word("status", row.status), "badge-warning"),
        ),
        rx.cond(
            (row.source != Source.MODEL) & (row.source != ""),
            badge(word("source", row.source), "badge-quiet"),
        ),
        rx.cond(row.channel != Channel.WEB, badge(word("channel", row.channel), "badge-quiet")),
        rx.cond(row.deleted, badge(t("review.deleted"), "badge-quiet")),
        class_name="badges",
    )


def _inside(row: rx.Var[ReviewRow]) -> rx.Component:
    return rx.fragment(
        rx.el.span(
            rx.cond(row.title != "", row.title, t("nav.untitled")), class_name="review-title"
        ),
        rx.el.span(
            rx.el.span(person(row), class_name="written"),
            rx.cond(row.department != "", rx.el.span(row.department, class_name="written")),
            rx.el.span(of_locale(row.updated)),
            class_name="meta",
        ),
        rx.cond(
            row.pieces.length() > 0,
            rx.el.span(rx.foreach(row.pieces, _piece), class_name="excerpt written"),
        ),
        _badges(row),
    )


def _row(row: rx.Var[ReviewRow], index: rx.Var[int]) -> rx.Component:
    opened = row.id == ReviewDialogState.dialog_id
    return rx.el.li(
        rx.el.a(
            _inside(row),
            href=f"/admin/dialogs/{row.id}{ReviewListState.query}",
            class_name=rx.cond(opened, "review-row current", "review-row"),
            aria_current=rx.cond(opened, "true", "false"),
            custom_attrs={"data-testid": "admin-dialog-row", "data-row": index},
        ),
        key=row.id,
    )


class RowFocus(Fragment):
    """Moves the browser's focus to the row `ReviewListState.at`. Draws nothing."""

    def add_imports(self) -> ImportDict:
        return {"react": [ImportVar(tag="useEffect")]}

    def add_hooks(self) -> list[str | rx.Var]:
        at = ReviewListState.at
        script = f"""useEffect(() => {{
  document.querySelector(`[data-row="${{{at!s}}}"]`)?.focus();
}}, [{at!s}]);"""
        return [rx.Var(script, _var_data=at._get_all_var_data())]


def review_list() -> rx.Component:
    return rx.el.section(
        rx.el.h2(t("review.list"), class_name="visually-hidden"),
        list_state(
            loading=ReviewListState.loading,
            error_code=ReviewListState.error_code,
            is_empty=ReviewListState.rows.length() == 0,
            empty=rx.cond(
                ReviewListState.narrowed, t("review.nothing_found"), t("review.nothing_yet")
            ),
            icon="messages-square",
        ),
        rx.el.ul(
            rx.foreach(ReviewListState.rows, _row),
            custom_attrs={"data-rove": "stop"},  # the page moves the focus by its own keys
        ),
        RowFocus.create(),
        rx.cond(
            ReviewListState.has_more,
            rx.el.button(
                t("nav.more"),
                type="button",
                class_name="quiet-button",
                on_click=ReviewListState.load_more,
                custom_attrs={"data-testid": "review-more"},
            ),
        ),
        class_name="review-list",
        custom_attrs={"data-testid": "review-list"},
    )
