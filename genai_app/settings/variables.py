"""Reads the variables of the settings: environment, `.env`, and the files that `NAME_FILE` names.

Reading goes on after an error, so that all faults are reported together.
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
class SettingFault:
    """An error in the settings. `text`: one line without a value; `fields`: the settings it
    concerns; the message names the first."""

    fields: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.fields[0].upper()}: {self.text}" if self.fields else self.text


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A variable with our prefix that is no setting: misspelt, or of a later version."""

    name: str
    nearest: str = ""
    in_file: bool = False

    def __str__(self) -> str:
        where = f" (in {DOTENV})" if self.in_file else ""
        return f"{self.name}{where}, {self.nearest}?" if self.nearest else f"{self.name}{where}"

    def fault(self) -> str:
        """Returns the line of an error message."""
        near = f"; {self.nearest} is like it" if self.nearest else ""
        return f"{self.name}: means nothing{near}" + (f" (in {DOTENV})" if self.in_file else "")


@dataclass(slots=True)
class Variables:
    """Values by setting; `in_file`: the settings that are in `.env`."""

    values: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    in_file: set[str] = field(default_factory=set[str])
    faults: list[SettingFault] = field(default_factory=list[SettingFault])
    unknown: list[UnknownName] = field(default_factory=list[UnknownName])


def read_variables(fields: Collection[str]) -> Variables:
    """Returns the values of `fields`. The environment takes precedence over `.env`, and in each of
    them `NAME` over `NAME_FILE`. An empty value counts as unset."""
    variables = Variables()
    in_file, faults = _read_dotenv()
    variables.faults += faults
    for names, is_file in ((os.environ, False), (in_file, True)):
        ours = {name.upper(): text for name, text in names.items() if _is_ours(name)}
        for name in fields:
            if name not in variables.values and not any(
                name in each.fields for each in variables.faults
            ):
                _read(variables, name, ours, is_file=is_file)
        variables.unknown += [
            UnknownName(name, _nearest(name, fields), is_file) for name in _unknown(names, fields)
        ]
    return variables


def _read(variables: Variables, field_name: str, ours: Mapping[str, str], *, is_file: bool) -> None:
    name = PREFIX + field_name.upper()
    secret = field_name in SECRET_FIELDS
    try:
        # spaces may belong to a secret; a line end never does
        text = ours.get(name, "").strip("\r\n" if secret else None)
        path = ours.get(name + FILE_SUFFIX, "").strip()
        if not text.strip() and secret and path:
            name += FILE_SUFFIX
            text = read_secret(Path(path), optional=field_name in OPTIONAL_SECRETS)
        text.encode()
    except UnicodeEncodeError:
        variables.faults.append(SettingFault((field_name,), "is not UTF-8 text"))
        return
    except ValueError as error:
        read_name = name.removeprefix(PREFIX).lower()
        variables.faults.append(SettingFault((read_name, field_name), str(error)))
        return
    if text.strip():
        variables.values[field_name] = text
        if is_file:
            variables.in_file.add(field_name)


def _read_dotenv() -> tuple[dict[str, str], list[SettingFault]]:
    path = Path(DOTENV)
    if not path.is_file():  # a virtual environment may be in a folder of that name
        return {}, []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return {}, [SettingFault((), f"{DOTENV}: is not UTF-8 text")]
    except OSError as error:
        return {}, [SettingFault((), f"{DOTENV}: cannot be read: {error.strerror}")]
    faults: list[SettingFault] = []
    good: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            faults.append(
                SettingFault((), f"{DOTENV}: line {binding.original.line} is no NAME=value")
            )
        else:
            good.append(binding.original.string)
    values = dotenv_values(stream=io.StringIO("".join(good)))
    return {name: value or "" for name, value in values.items()}, faults


def _is_ours(name: str) -> bool:
    return name.upper().startswith(PREFIX)


def _valid_names(fields: Iterable[str]) -> set[str]:
    names = {PREFIX + name.upper() for name in fields}
    return names | {f"{PREFIX}{name.upper()}{FILE_SUFFIX}" for name in SECRET_FIELDS}


def _unknown(names: Iterable[str], fields: Iterable[str]) -> list[str]:
    valid = _valid_names(fields)
    return sorted(name for name in names if _is_ours(name) and name.upper() not in valid)


def _nearest(name: str, fields: Iterable[str]) -> str:
    """Returns the valid name that is most similar to `name`, "" where none is."""
    # without the prefix, which would make all names similar
    valid = [each.removeprefix(PREFIX) for each in sorted(_valid_names(fields))]
    similar = get_close_matches(name.upper().removeprefix(PREFIX), valid, 1, SIMILAR)
    return PREFIX + similar[0] if similar else ""


def child_environment(**more: str) -> dict[str, str]:
    """Returns the environment of a child process: ours without settings of the product, plus
    `more`."""
    ours = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    return ours | more
