"""Checks the frames that a browser sends on the event socket. Invalid ones never reach Reflex,
which would log each with its whole text, prompts included, and a trace.

An event is valid if its handler has declared rights and its arguments have the declared names and
types. Whether this user may call it is decided later (policy.py).
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import TypeGuard, Union, cast, get_args, get_origin, get_type_hints

from reflex_base.constants.state import FIELD_MARKER
from reflex_base.registry import RegistrationContext

from genai_app.rights import NEEDED_ROLES
from genai_app.text import clean_text
from genai_app.web.policy import CLIENT_VARS, is_public, short_name

NAMESPACE = "/_event,"
KEEP_ALIVE = ("2", "3")
LEAVE = f"41{NAMESPACE}"
CONNECT = f"40{NAMESPACE}"
EVENT = f"42{NAMESPACE}"
ROUTER_KEYS = {"pathname", "asPath", "query"}

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def admit(frame: str) -> str | None:
    """Returns the frame with lone surrogates replaced, or None for an invalid frame."""
    if frame in KEEP_ALIVE or frame == LEAVE:
        return frame
    head = next((head for head in (CONNECT, EVENT) if frame.startswith(head)), None)
    if head is None:
        return None
    try:
        body = json.loads(frame[len(head) :] or "null")
    except (ValueError, RecursionError):
        return None
    if not (_is_connect(body) if head is CONNECT else _is_message(body)):
        return None
    if _SURROGATE.search(frame):
        return head + json.dumps(_cleaned(body), ensure_ascii=False)
    return frame


def _is_connect(body: object) -> bool:
    if body is None:
        return True
    return _is_record(body) and ("event" not in body or _is_event(body["event"]))


def _is_message(body: object) -> bool:
    if not isinstance(body, list) or not body:
        return False
    kind, *data = cast("list[object]", body)
    if kind == "event":
        return len(data) == 1 and _is_event(data[0])
    return kind in ("ping", "client_error") and len(data) <= 1


def _is_event(event: object) -> bool:
    name = event.get("name") if _is_record(event) else None
    if not _is_record(event) or not isinstance(name, str):
        return False
    if not is_public(short_name(name)) and short_name(name) not in NEEDED_ROLES:
        return False
    return _is_router_data(event.get("router_data", {})) and _fits(name, event.get("payload", {}))


def _is_router_data(data: object) -> bool:
    if not _is_record(data) or set(data) - ROUTER_KEYS:
        return False
    query = data.get("query", {})
    return (
        isinstance(data.get("pathname", ""), str)
        and isinstance(data.get("asPath", ""), str)
        and _is_record(query)
        and _are_strings(query.get("splat"))  # the parts of an address that is no page
        and all(isinstance(value, str) for key, value in query.items() if key != "splat")
    )


def _fits(name: str, payload: object) -> bool:
    parameters = _parameters(name)
    if parameters is None or not _is_record(payload) or set(payload) - set(parameters):
        return False
    return (
        all(
            isinstance(payload[key], classes) if key in payload else not required
            for key, (classes, required) in parameters.items()
        )
        and _are_client_vars(payload.get("vars"))
        and _are_strings(payload.get("hashes"))
    )


def _are_client_vars(values: object) -> bool:
    """Returns whether these are values of CLIENT_VARS, which two of Reflex's own events send."""
    return values is None or (
        _is_record(values)
        and all(
            short_name(key.removesuffix(FIELD_MARKER)) in CLIENT_VARS and isinstance(value, str)
            for key, value in values.items()
        )
    )


def _are_strings(values: object) -> bool:
    return values is None or (
        isinstance(values, list)
        and all(isinstance(each, str) for each in cast("list[object]", values))
    )


@cache
def _parameters(name: str) -> dict[str, tuple[tuple[type, ...], bool]] | None:
    """Returns {argument: (classes, is required)} of a registered handler, None for an unknown
    one."""
    registered = RegistrationContext.get().event_handlers.get(name)
    if registered is None:
        return None
    function = registered.handler.fn
    hints = get_type_hints(function)
    parameters: dict[str, tuple[tuple[type, ...], bool]] = {}
    for key, parameter in list(inspect.signature(function).parameters.items())[1:]:  # not self
        classes = tuple(_classes(hints.get(key, object)))
        parameters[key] = (classes, parameter.default is inspect.Parameter.empty)
    return parameters


def _classes(hint: object) -> Iterator[type]:
    """Yields the classes that a value of this annotation may have; `object` for any other
    annotation."""
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        for each in get_args(hint):
            yield from _classes(each)
    else:
        outer = get_origin(hint) or hint
        yield outer if isinstance(outer, type) else object


def _is_record(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict) and all(
        isinstance(key, str) for key in cast("dict[object, object]", value)
    )


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in cast("list[object]", value)]
    if isinstance(value, Mapping):
        return {key: _cleaned(item) for key, item in cast("dict[str, object]", value).items()}
    return value
