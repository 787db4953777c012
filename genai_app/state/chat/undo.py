"""The offer to undo the deletion or archiving of a dialog. The page shows it for ten seconds."""

import uuid

import reflex as rx


class UndoState(rx.State):
    """The last act, `deleted` or `archived`; "" when nothing is offered. `shown` is another
    text for each offer, so that the page counts its ten seconds anew."""

    done: str = ""
    shown: str = ""

    _dialog_id: str = ""
    _was_open: bool = False  # the dialog was on the screen, and its page was left

    def _offer(self, done: str, dialog_id: str, *, was_open: bool = False) -> None:
        self.done, self.shown = done, uuid.uuid4().hex
        self._dialog_id, self._was_open = dialog_id, was_open

    def _clear(self) -> None:
        self.done = self.shown = self._dialog_id = ""
        self._was_open = False
