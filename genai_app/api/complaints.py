"""Sentences about wrong fields of a request: which field is wrong, and what it should contain.

pydantic's own messages are in English only, and its locations contain names of its internals.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from genai_app.i18n import translate

MAX_PARAM_CHARS = 200
MAX_SHOWN_CHOICES = 20
# kinds of values that a field should contain, with pydantic's error types for each
KINDS = {
    "text": ("string_type", "string_sub_type", "string_unicode"),
    "whole": ("int_type", "int_parsing", "int_parsing_size", "int_from_float"),
    "number": ("float_type", "float_parsing", "finite_number"),
    "switch": ("bool_type", "bool_parsing"),
    "list": ("list_type", "tuple_type", "set_type"),
    "object": ("dict_type", "model_type", "model_attributes_type", "mapping_type"),
    "uuid": ("uuid_type", "uuid_parsing", "uuid_version"),
    "moment": ("timezone_aware", "datetime_type", "datetime_parsing", "datetime_from_date_parsing"),
    "day": ("date_type", "date_parsing", "date_from_datetime_parsing"),
}
KIND_OF = {error: kind for kind, errors in KINDS.items() for error in errors}
# pydantic's error types with a bound: the sentence, and the name of the bound in the error's
# context
BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("most", "le"),
    "string_too_short": ("shortest", "min_length"),
    "string_too_long": ("longest", "max_length"),
    "too_short": ("fewest", "min_length"),
    "too_long": ("many", "max_length"),
}

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Complaint:
    """The sentence about a refused request, and the path of the wrong field."""

    message: str
    param: str | None


def complaint(errors: Sequence[Any], body: object, locale: str) -> Complaint:
    """Returns the complaint about the first wrong field.

    Args:
        errors: pydantic's errors, in its order.
        body: the body as received. A location is compared with it, since pydantic's locations also
            contain names of the types that a field may have.
    """
    first = errors[0]
    # without a JSON content type the body is a text
    as_text = first["loc"] == ("body",) and isinstance(first.get("input"), str | bytes)
    if first["type"] == "json_invalid" or as_text:
        return Complaint(translate(locale, "error.malformed_json"), None)
    by_path = [(_path(each, body), each) for each in errors]
    start = by_path[0][0]
    # a field with several possible types has an error for each; the deepest is the most exact one
    inside = [(path, each) for path, each in by_path if path[: len(start)] == start]
    depth = max(len(path) for path, _ in inside)
    path = next(path for path, _ in inside if len(path) == depth)
    here = [each for other, each in inside if other == path]
    field = _shown(path)
    return Complaint(_sentence(here, field, locale), field or None)


def _sentence(errors: Sequence[Any], field: str, locale: str) -> str:
    kinds = dict.fromkeys(KIND_OF[each["type"]] for each in errors if each["type"] in KIND_OF)
    others = [each for each in errors if each["type"] not in KIND_OF]
    if not field:
        return translate(locale, "invalid.body")
    if not others:
        names = [translate(locale, f"invalid.kind_{kind}") for kind in kinds]
        kind = f" {translate(locale, 'invalid.or')} ".join(names)
        return translate(locale, "invalid.kind", field=field, kind=kind)
    name, context = others[0]["type"], cast("dict[str, Any]", others[0].get("ctx") or {})
    if name == "missing":
        return translate(locale, "invalid.missing", field=field)
    if name == "none_required" or (name == "too_long" and context.get("max_length") == 0):
        return translate(locale, "invalid.unsupported", field=field)
    if name == "extra_forbidden":
        return translate(locale, "invalid.unknown", field=field)
    if name in BOUNDS:
        word, bound = BOUNDS[name]
        return translate(locale, f"invalid.{word}", field=field, bound=context.get(bound))
    if name in ("literal_error", "enum", "union_tag_invalid"):
        values = str(context.get("expected") or context.get("expected_tags") or "")
        expected = re.findall(r"'([^']*)'|\b(True|False|\d+)\b", values)
        choices = [quoted or plain.lower() for quoted, plain in expected[:MAX_SHOWN_CHOICES]]
        if choices:
            return translate(locale, "invalid.choice", field=field, choices=", ".join(choices))
    return translate(locale, "invalid.other", field=field)


def _path(error: Any, body: object) -> Path:
    """Returns the path of an error in the body.

    Steps of pydantic's location that do not exist in the body are names of types, and are left out.
    """
    start, *steps = error["loc"]
    if start != "body" or not isinstance(body, Mapping | list):
        return tuple(steps)
    value, path = cast("Any", body), cast("Path", ())
    for number, step in enumerate(steps, 1):
        is_last = error["type"] == "missing" and number == len(steps)
        if isinstance(value, list):
            items = cast("list[Any]", value)
            if isinstance(step, int) and step < len(items):
                path, value = (*path, step), items[step]
        elif isinstance(value, Mapping):
            fields = cast("Mapping[Any, Any]", value)
            if step in fields or is_last:
                path, value = (*path, step), fields.get(step)
    if error["type"] == "union_tag_invalid":  # located at the part whose `type` is wrong
        return (*path, error["ctx"]["discriminator"].strip("'"))
    return path


def _shown(path: Path) -> str:
    """Returns a path as text, like `messages[1].content`. A step may be any text of the caller."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    text = text.removeprefix(".")[:MAX_PARAM_CHARS]
    return text.encode("utf-8", "replace").decode()
