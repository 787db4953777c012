"""Kind, format and filters of an export: validated from the request, kept as JSON in its row."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from genai_app.errors import InvalidInput
from genai_app.models import ReviewState, Source
from genai_app.text import clean_text
from genai_app.zones import DEFAULT_ZONE, day_bound, viewer_zone

MAX_FILTER_CHARS = 200


class ExportKind(StrEnum):
    """Kinds of exports."""

    DIALOGS = "dialogs"  # of all users, by filters: for reviewers
    VERIFIED = "verified"  # questions with the answers that colleagues wrote: for reviewers
    DIALOG = "dialog"  # one of the user's own dialogs
    MINE = "mine"  # all of the user's own dialogs


class Format(StrEnum):
    """Formats of the file; the value is also its extension."""

    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"
    JSONL = "jsonl"
    JSON = "json"
    MD = "md"


FORMATS: dict[ExportKind, tuple[Format, ...]] = {
    ExportKind.DIALOGS: (Format.CSV, Format.XLSX, Format.PDF, Format.JSONL),
    ExportKind.VERIFIED: (Format.JSONL, Format.CSV, Format.XLSX),
    ExportKind.DIALOG: (Format.MD, Format.PDF, Format.JSON),
    ExportKind.MINE: (Format.JSON,),
}
FOR_REVIEWERS = (ExportKind.DIALOGS, ExportKind.VERIFIED)
FILTERS: dict[ExportKind, tuple[str, ...]] = {
    ExportKind.DIALOGS: (
        *("user", "department", "since", "until", "model", "source", "state"),
        "reasoning",
    ),
    ExportKind.VERIFIED: (),
    ExportKind.DIALOG: ("dialog_id", "reasoning"),
    ExportKind.MINE: ("reasoning",),
}
WORDS = {"source": tuple(Source), "state": tuple(ReviewState)}


@dataclass(slots=True)
class ExportChoice:
    """The filters of an export, "" where none is set. `title` and `user_ids` are looked up later.

    Args:
        reasoning: the model's thoughts are in the file too.
        since, until: days such as `2026-11-25`, both included, in the time zone `zone`.
    """

    dialog_id: str = ""
    user: str = ""
    department: str = ""
    since: str = ""
    until: str = ""
    model: str = ""
    source: str = ""
    state: str = ""
    title: str = ""
    zone: str = DEFAULT_ZONE
    user_ids: tuple[str, ...] = ()
    reasoning: bool = False

    def to_json(self) -> str:
        return json.dumps({key: value for key, value in asdict(self).items() if value})

    @classmethod
    def of_json(cls, text: str) -> "ExportChoice":
        """Reads the JSON of a row. Keys of other versions of the product are ignored."""
        names = {each.name for each in fields(cls)}
        values: dict[str, Any] = {
            key: value for key, value in json.loads(text).items() if key in names
        }
        values["user_ids"] = tuple(values.get("user_ids", ()))
        return cls(**values)

    @property
    def people(self) -> list[uuid.UUID]:
        return [uuid.UUID(each) for each in self.user_ids]

    def audit_details(self) -> dict[str, str]:
        """Returns the filters that are set, by name; `user` is the target of the event."""
        names = ("department", "since", "until", "model", "source", "state")
        details = {name: getattr(self, name) for name in names if getattr(self, name)}
        return details | ({"reasoning": "yes"} if self.reasoning else {})


def choose(
    kind: object, format: object, chosen: Mapping[str, object]
) -> tuple[ExportKind, Format, ExportChoice]:
    """Returns the validated kind, format and filters of a request.

    Raises:
        InvalidInput: bad_export; `param` names the wrong part.
    """
    try:
        export_kind, file_format = ExportKind(str(kind)), Format(str(format))
    except ValueError:
        raise InvalidInput(code="bad_export", param="format") from None
    if file_format not in FORMATS[export_kind]:
        raise InvalidInput(code="bad_export", param="format")
    choice = ExportChoice(zone=viewer_zone())
    for name, value in chosen.items():
        if value is None or value == "" or value is False:
            continue
        switch = name == "reasoning"
        kind_of_value = bool if switch else str
        if name not in FILTERS[export_kind] or not isinstance(value, kind_of_value):
            raise InvalidInput(code="bad_export", param=name[:40])
        if not isinstance(value, str):
            choice.reasoning = True
            continue
        text = clean_text(value).strip()
        if len(text) > MAX_FILTER_CHARS or (name in WORDS and text not in WORDS[name]):
            raise InvalidInput(code="bad_export", param=name)
        setattr(choice, name, text)
    for name in ("since", "until"):
        day_begins(getattr(choice, name), name)
    return export_kind, file_format, choice


def day_begins(
    text: str, name: str = "", *, after: bool = False, zone: str = DEFAULT_ZONE
) -> datetime | None:
    """Returns the start of a day in `zone`, with `after` of the next day; None for "".

    Raises:
        InvalidInput: bad_export; `name` is its `param`.
    """
    try:
        return day_bound(text, after=after, zone=zone)
    except ValueError:
        raise InvalidInput(code="bad_export", param=name) from None
