"""What an export holds and in which format: read from outside, and kept as JSON in its row."""

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


class Kind(StrEnum):
    """What is exported."""

    DIALOGS = "dialogs"  # everybody's, by filters: for reviewers
    VERIFIED = "verified"  # questions with the answers that colleagues wrote: for reviewers
    DIALOG = "dialog"  # one of the user's own
    MINE = "mine"  # all of the user's own


class Format(StrEnum):
    """How it is written; also the ending of the file's name."""

    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"
    JSONL = "jsonl"
    JSON = "json"
    MD = "md"


FORMATS: dict[Kind, tuple[Format, ...]] = {
    Kind.DIALOGS: (Format.CSV, Format.XLSX, Format.PDF, Format.JSONL),
    Kind.VERIFIED: (Format.JSONL, Format.CSV, Format.XLSX),
    Kind.DIALOG: (Format.MD, Format.PDF, Format.JSON),
    Kind.MINE: (Format.JSON,),
}
FOR_REVIEWERS = (Kind.DIALOGS, Kind.VERIFIED)
FILTERS: dict[Kind, tuple[str, ...]] = {
    Kind.DIALOGS: ("user", "department", "since", "until", "model", "source", "state"),
    Kind.VERIFIED: (),
    Kind.DIALOG: ("dialog_id",),
    Kind.MINE: (),
}
WORDS = {"source": tuple(Source), "state": tuple(ReviewState)}


@dataclass(slots=True)
class Choice:
    """Texts as they came, "" where nothing was chosen; `title` and `user_ids` are found later.

    Args:
        since, until: days as `2026-11-25`, both included, in the time zone `zone`.
        tries: how often a process began to make it.
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
    tries: int = 0

    def to_json(self) -> str:
        return json.dumps({key: value for key, value in asdict(self).items() if value})

    @classmethod
    def of_json(cls, text: str) -> "Choice":
        """Of a row; a key of another version is left out."""
        known = {each.name for each in fields(cls)}
        found: dict[str, Any] = {
            key: value for key, value in json.loads(text).items() if key in known
        }
        found["user_ids"] = tuple(found.get("user_ids", ()))
        return cls(**found)

    @property
    def people(self) -> list[uuid.UUID]:
        return [uuid.UUID(each) for each in self.user_ids]

    def told(self) -> dict[str, str]:
        """The filters that were set, for the audit."""
        names = ("department", "since", "until", "model", "source", "state")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


def choose(
    kind: object, format: object, chosen: Mapping[str, object]
) -> tuple[Kind, Format, Choice]:
    """What somebody asks for.

    Raises:
        InvalidInput: bad_export, `param` says what of it.
    """
    try:
        known, made = Kind(str(kind)), Format(str(format))
    except ValueError:
        raise InvalidInput(code="bad_export", param="format") from None
    if made not in FORMATS[known]:
        raise InvalidInput(code="bad_export", param="format")
    choice = Choice(zone=viewer_zone())
    for name, value in chosen.items():
        if value is None or value == "":
            continue
        if name not in FILTERS[known] or not isinstance(value, str):
            raise InvalidInput(code="bad_export", param=name[:40])
        text = clean_text(value).strip()
        if len(text) > MAX_FILTER_CHARS or (name in WORDS and text not in WORDS[name]):
            raise InvalidInput(code="bad_export", param=name)
        setattr(choice, name, text)
    for name in ("since", "until"):
        day_begins(getattr(choice, name), name)
    return known, made, choice


def day_begins(
    text: str, name: str = "", *, after: bool = False, zone: str = DEFAULT_ZONE
) -> datetime | None:
    """The first moment of a day in `zone`, or of the day after it; None for "".

    Raises InvalidInput.
    """
    try:
        return day_bound(text, after=after, zone=zone)
    except ValueError:
        raise InvalidInput(code="bad_export", param=name) from None
