"""Files in review: those of a question, and the preview of the one that is opened."""

import reflex as rx

from genai_app.components.chat.file_preview import NOTHING, PreviewKeeper, file_preview, opening
from genai_app.components.files import file_mark, file_name, opener, read_state
from genai_app.components.text import t
from genai_app.state.review.files import ReviewedFileRow, ReviewFileState


class ReviewPreviewKeeper(PreviewKeeper):
    """Opens the preview by the audited handler. There is no drawer."""

    def _handlers(self) -> dict[str, rx.Var]:
        return {"open": opening(ReviewFileState.open), "list": NOTHING}


def reviewed_preview() -> rx.Component:
    return file_preview(ReviewFileState, _content, ReviewPreviewKeeper)


def _content(file_id: rx.Var[str]) -> rx.Var[str]:
    dialog_id = ReviewFileState.dialog_id
    return rx.Var.create(f"/admin/api/dialogs/{dialog_id}/files/{file_id}/content")


def reviewed_files(rows: rx.Var[list[ReviewedFileRow]]) -> rx.Component:
    """The files of a question; a click opens one, which its user will see."""
    return rx.cond(
        rows.length() > 0,
        rx.el.ul(
            rx.foreach(rows, _reviewed_file),
            class_name="files",
            aria_label=t("file.of_question"),
            custom_attrs={"data-testid": "review-files"},
        ),
    )


def _reviewed_file(row: rx.Var[ReviewedFileRow]) -> rx.Component:
    return rx.el.li(
        file_mark(row),
        rx.cond(
            row.can_open,
            opener(row),
            rx.el.span(file_name(row), class_name="file-name written", title=row.name),
        ),
        rx.el.span(read_state(row), class_name="file-state"),
        key=row.id,
        class_name="file",
        custom_attrs={"data-testid": "attachment"},
    )
