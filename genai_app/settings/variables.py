"""Reads the variables of the settings: environment, `.env`, and the files that `NAME_FILE` names.

All three are one pass: whatever cannot be read is a fault beside the others, and stops nothing.
"""

import io
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from genai_app.settings.secret_files import (
    FILE_SUFFIX,
    OPTIONAL_SECRETS,
    PREFIX,
    SECRET_FIELDS,
    read_secret,
)

DOTENV = ".env"
SIMILAR = 0.6


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong. `text` is one line without a value; `fields` are the settings it is about,
    the first is named."""

    fields: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.fields[0].upper()}: {self.text}" if self.fields else self.text


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A variable with our prefix that means nothing: a slip, or a later version's."""

    name: str
    nearest: str = ""
    in_file: bool = False

    def __str__(self) -> str:
        where = f" (in {DOTENV})" if self.in_file else ""
        return f"{self.name}{where}, {self.nearest}?" if self.nearest else f"{self.name}{where}"

    def fault(self) -> str:
        """The line of a refusal that says so."""
        near = f"; {self.nearest} is like it" if self.nearest else ""
        return f"{self.name}: means nothing{near}" + (f" (in {DOTENV})" if self.in_file else "")


@dataclass(slots=True)
class Variables:
    """What was read. `values` by setting; `in_file`: settings that `.env` gave."""

    values: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    in_file: set[str] = field(default_factory=set[str])
    faults: list[Fault] = field(default_factory=list[Fault])
    unknown: list[UnknownName] = field(default_factory=list[UnknownName])


def read_variables(fields: Collection[str]) -> Variables:
    """Returns the values of `fields`: the environment before `.env`, in each `NAME` before
    `NAME_FILE`. An empty value is none."""
    found = Variables()
    in_file, faults = _read_dotenv()
    found.faults += faults
    for names, is_file in ((os.environ, False), (in_file, True)):
        ours = {name.upper(): text for name, text in names.items() if _is_ours(name)}
        for name in fields:
            if name not in found.values and not any(name in each.fields for each in found.faults):
                _take(found, name, ours, is_file=is_file)
        found.unknown += [
            UnknownName(name, _nearest(name, fields), is_file) for name in _unknown(names, fields)
        ]
    return found


def _take(found: Variables, field_name: str, ours: Mapping[str, str], *, is_file: bool) -> None:
    name = PREFIX + field_name.upper()
    secret = field_name in SECRET_FIELDS
    try:
        # spaces may belong to a secret; the end of a line never does
        text = ours.get(name, "").strip("\r\n" if secret else None)
        path = ours.get(name + FILE_SUFFIX, "").strip()
        if not text.strip() and secret and path:
            name += FILE_SUFFIX
            text = read_secret(Path(path), optional=field_name in OPTIONAL_SECRETS)
        text.encode()
    except UnicodeEncodeError:
        found.faults.append(Fault((field_name,), "is not UTF-8 text"))
        return
    except ValueError as error:
        found.faults.append(Fault((name.removeprefix(PREFIX).lower(), field_name), str(error)))
        return
    if text.strip():
        found.values[field_name] = text
        if is_file:
            found.in_file.add(field_name)


def _read_dotenv() -> tuple[dict[str, str], list[Fault]]:
    path = Path(DOTENV)
    if not path.is_file():  # some keep a virtual environment in a folder of that name
        return {}, []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return {}, [Fault((), f"{DOTENV}: is not UTF-8 text")]
    except OSError as error:
        return {}, [Fault((), f"{DOTENV}: cannot be read: {error.strerror}")]
    faults: list[Fault] = []
    good: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            faults.append(Fault((), f"{DOTENV}: line {binding.original.line} is no NAME=value"))
        else:
            good.append(binding.original.string)
    values = dotenv_values(stream=io.StringIO("".join(good)))
    return {name: value or "" for name, value in values.items()}, faults


def _is_ours(name: str) -> bool:
    return name.upper().startswith(PREFIX)


def _known(fields: Iterable[str]) -> set[str]:
    known = {PREFIX + name.upper() for name in fields}
    return known | {f"{PREFIX}{name.upper()}{FILE_SUFFIX}" for name in SECRET_FIELDS}


def _unknown(names: Iterable[str], fields: Iterable[str]) -> list[str]:
    known = _known(fields)
    return sorted(name for name in names if _is_ours(name) and name.upper() not in known)


def _nearest(name: str, fields: Iterable[str]) -> str:
    """The known name that is most like `name`, "" where none is."""
    # without the prefix, which makes all of them alike
    known = [each.removeprefix(PREFIX) for each in sorted(_known(fields))]
    like = get_close_matches(name.upper().removeprefix(PREFIX), known, 1, SIMILAR)
    return PREFIX + like[0] if like else ""


def child_environment(**more: str) -> dict[str, str]:
    """What a program that we start sees: all of the environment but our settings, and `more`."""
    ours = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    return ours | more
