"""The search of the sidebar: its field, and what it found in place of the list."""

import reflex as rx

from genai_app.components.icon_button import icon_button
from genai_app.components.text import error_text, t
from genai_app.state.chat.search import SEARCH_ID, HitRow, PieceRow, SearchState

DEBOUNCE_MS = 250
MAX_QUERY_CHARS = 200


def search_field(hint: rx.Component) -> rx.Component:
    """Searches while it is typed into; Esc empties it. `hint`: stands in the empty field."""
    return rx.el.div(
        rx.icon("search", size=16, aria_hidden=True),
        rx.el.input(
            id=SEARCH_ID,
            type="search",
            default_value=SearchState.query,
            max_length=MAX_QUERY_CHARS,
            auto_complete="off",
            placeholder=t("search.placeholder"),
            aria_label=t("search.label"),
            on_change=SearchState.find.debounce(DEBOUNCE_MS),
            on_key_down=lambda key, _: rx.cond(key == "Escape", SearchState.clear(), rx.noop()),
            custom_attrs={"data-testid": "search"},
        ),
        rx.cond(
            SearchState.query != "",
            icon_button("x", t("search.clear"), size=14, on_click=SearchState.clear),
            hint,
        ),
        class_name="search",
        role="search",
    )


def search_results() -> rx.Component:
    return rx.fragment(
        rx.cond(
            SearchState.error_code != "",
            rx.el.p(
                error_text(SearchState.error_code), class_name="note note-danger", role="alert"
            ),
            rx.cond(
                SearchState.hits.length() > 0,
                rx.el.section(
                    rx.el.h2(t("search.results")),
                    rx.el.ul(rx.foreach(SearchState.hits, _hit)),
                ),
                rx.el.div(
                    rx.icon("search-x", size=28, stroke_width=1.25, aria_hidden=True),
                    rx.el.p(t("search.nothing")),
                    class_name="nothing",
                    role="status",
                ),
            ),
        ),
        rx.cond(
            SearchState.cursor != "",
            rx.el.button(
                t("nav.more"), type="button", class_name="text-button", on_click=SearchState.more
            ),
        ),
    )


def _hit(hit: rx.Var[HitRow]) -> rx.Component:
    return rx.el.li(
        rx.el.a(
            rx.el.span(
                rx.cond(hit.title.length() > 0, rx.foreach(hit.title, piece), t("nav.untitled")),
                class_name="hit-title",
            ),
            rx.cond(
                hit.excerpt.length() > 0,
                rx.el.span(rx.foreach(hit.excerpt, piece), class_name="hit-excerpt"),
            ),
            href=hit.address,
            class_name="hit written",
        ),
        key=hit.id,
        custom_attrs={"data-testid": "dialog-item"},
    )


def piece(piece: rx.Var[PieceRow]) -> rx.Component:
    return rx.cond(piece.is_match, rx.el.mark(piece.text), rx.fragment(piece.text))
