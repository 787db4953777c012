"""What others wrote and the bundle carries: each package with its version, licence and text."""

import base64
import email
import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bundle.target import Unfit

LICENCE = re.compile(r"(licen[cs]e|copying|notice)([.-].*)?", re.IGNORECASE)
# Wheels without a text of their own: one project, one repository, one licence. The text is taken
# from the project's main wheel.
SAME_PROJECT = {"reflex-": "reflex"}
# The metadata has the text where the name belongs, or no name beside the text.
NAMES = {"httpx-aiohttp": "BSD-3-Clause", "khroma": "MIT"}
# They state their licence in their README and carry no other text.
IN_README = ("format", "highlightjs-vue")
# What only the build of the pages needs, and no page holds.
BUILD_ONLY = {
    *("@react-router/dev", "@react-router/fs-routes", "vite"),
    *("autoprefixer", "postcss", "postcss-import"),
}


@dataclass(frozen=True)
class Package:
    """`licence` is an SPDX expression where `is_spdx`, else the words of its author."""

    ecosystem: str
    name: str
    version: str
    licence: str
    is_spdx: bool
    text: str
    hash_name: str
    digest: str

    @property
    def purl(self) -> str:
        """The package URL, as scanners of vulnerabilities look for it."""
        return f"pkg:{self.ecosystem}/{quote(self.name, safe='/')}@{self.version}"


def from_wheels(wheels: Iterable[Path]) -> list[Package]:
    """The Python packages.

    Raises:
        Unfit: names every package of which the licence or its text is not known.
    """
    found = [_of_wheel(path) for path in sorted(wheels)]
    texts = {package.name: package.text for package in found}
    whole: list[Package] = []
    for package in found:
        text = package.text
        for prefix, main in SAME_PROJECT.items():
            if not text and package.name.startswith(prefix):
                text = texts.get(main, "")
        whole.append(Package(**{**vars(package), "text": text}))
    return _complete(whole)


def from_lock(lock: Path, modules: Path) -> list[Package]:
    """The packages that the built pages hold: what is below their imports in bun's lock.

    Raises:
        Unfit: names every package of which the licence or its text is not known.
    """
    # bun writes JSON with a comma behind the last
    locked = json.loads(re.sub(r",(\s*[}\]])", r"\1", lock.read_text()))
    entries: dict[str, list[Any]] = locked["packages"]
    top = locked["workspaces"][""]
    roots = {*top["dependencies"], *top["devDependencies"]} - BUILD_ONLY
    found: dict[str, Package] = {}
    for place in _below(entries, roots):
        package = _of_module(entries[place], modules / "/node_modules/".join(_names(place)))
        found[package.purl] = package
    return _complete(found[each] for each in sorted(found))


def _complete(packages: Iterable[Package]) -> list[Package]:
    whole = list(packages)
    lacking = [
        f"{package.name} {package.version}: no {what}"
        for package in whole
        for what, value in (("name of its licence", package.licence), ("text", package.text))
        if not value.strip()
    ]
    if lacking:
        raise Unfit("licences are not known:\n  " + "\n  ".join(lacking))
    return whole


def _of_wheel(path: Path) -> Package:
    with zipfile.ZipFile(path) as wheel:
        names = sorted(wheel.namelist())
        metadata = next(name for name in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        headers = email.message_from_bytes(wheel.read(metadata))
        folder = metadata.partition("/")[0]
        listed = {f"{folder}/licenses/{each}" for each in headers.get_all("License-File") or ()}
        texts = [
            wheel.read(name).decode("utf-8", errors="replace")
            for name in names
            if name in listed
            or (name.startswith(f"{folder}/") and LICENCE.fullmatch(name.rpartition("/")[2]))
        ]
    name = re.sub(r"[-_.]+", "-", str(headers["Name"])).lower()
    expression = headers["License-Expression"]
    stated = str(headers["License"] or "").strip()
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in headers.get_all("Classifier") or ()
        if each.startswith("License :: OSI Approved :: ")
    ]
    words = stated if stated and "\n" not in stated else " AND ".join(classifiers)
    known = expression or NAMES.get(name)
    return Package(
        "pypi",
        name,
        str(headers["Version"]),
        str(known or words),
        known is not None,
        "\n\n".join(texts),
        "SHA-256",
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _below(entries: dict[str, list[Any]], roots: Iterable[str]) -> Iterator[str]:
    """The places in the lock of `roots` and of all that they need. "a/b" is the b of a alone."""
    seen: set[str] = set()
    todo = [(name, "") for name in sorted(roots)]
    while todo:
        name, parent = todo.pop()
        above = _names(parent)
        around = ["/".join([*above[:depth], name]) for depth in range(len(above), -1, -1)]
        place = next(each for each in around if each in entries)
        if place not in seen:
            seen.add(place)
            yield place
            todo += [(each, place) for each in entries[place][2].get("dependencies", {})]


def _names(place: str) -> list[str]:
    """["@a/b", "c"] for "@a/b/c"."""
    return re.findall(r"@[^/]+/[^/]+|[^/]+", place)


def _of_module(entry: list[Any], folder: Path) -> Package:
    """An entry of the lock is [name@version, registry, needs, integrity]."""
    name, _, version = str(entry[0]).rpartition("@")
    try:
        manifest = json.loads((folder / "package.json").read_text())
    except OSError:
        raise Unfit(f"{name}: not in .web/node_modules; rm -r .web, then make build") from None
    if manifest["version"] != version:
        raise Unfit(f"{name}: built with {manifest['version']}, locked is {version}")
    several = " OR ".join(each["type"] for each in manifest.get("licenses", ()))
    licence = manifest.get("license") or several or NAMES.get(name, "")
    texts = sorted(each for each in folder.iterdir() if LICENCE.fullmatch(each.name))
    if name in IN_README:
        texts = [each for each in folder.iterdir() if each.name.lower() == "readme.md"]
    digest = base64.b64decode(str(entry[3]).removeprefix("sha512-")).hex()
    text = "\n\n".join(each.read_text(encoding="utf-8", errors="replace") for each in texts)
    return Package("npm", name, version, licence, True, text, "SHA-512", digest)
