"""What a browser may say on the event socket. Anything else never reaches Reflex, which would log a
malformed event whole, prompt and all, with a trace for each.

An event passes when its handler is in the policy's tables and its arguments have the declared
names and types; who may call it is decided later (policy.py).
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

from genai_app.text import clean_text
from genai_app.web.policy import CLIENT_VARS, NEEDS, PUBLIC, short_name

NAMESPACE = "/_event,"
KEEP_ALIVE = ("2", "3")
LEAVE = f"41{NAMESPACE}"
CONNECT = f"40{NAMESPACE}"
EVENT = f"42{NAMESPACE}"
ROUTER_KEYS = {"pathname", "asPath", "query"}

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def admit(frame: str) -> str | None:
    """The frame to pass on, with lone surrogates made harmless; None for one to drop."""
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
    if short_name(name) not in PUBLIC and short_name(name) not in NEEDS:
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
        and _are_strings(query.get("splat"))  # an address of no page, in its parts
        and all(isinstance(value, str) for key, value in query.items() if key != "splat")
    )


def _fits(name: str, payload: object) -> bool:
    parameters = _parameters(name)
    if parameters is None or not _is_record(payload) or set(payload) - set(parameters):
        return False
    return (
        all(
            isinstance(payload[key], wanted) if key in payload else not required
            for key, (wanted, required) in parameters.items()
        )
        and _are_client_vars(payload.get("vars"))
        and _are_strings(payload.get("hashes"))
    )


def _are_client_vars(values: object) -> bool:
    """What the browser keeps for us, in two events of Reflex's own."""
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
    """Of a registered handler: each argument's type, and whether it must be there."""
    registered = RegistrationContext.get().event_handlers.get(name)
    if registered is None:
        return None
    function = registered.handler.fn
    hints = get_type_hints(function)
    found: dict[str, tuple[tuple[type, ...], bool]] = {}
    for key, parameter in list(inspect.signature(function).parameters.items())[1:]:  # not self
        wanted = tuple(_classes(hints.get(key, object)))
        found[key] = (wanted, parameter.default is inspect.Parameter.empty)
    return found


def _classes(hint: object) -> Iterator[type]:
    """The classes of which a value of this annotation is, as far as a class can say it."""
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
