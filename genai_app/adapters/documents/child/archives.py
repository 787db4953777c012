"""Zip files that unpack to more than they may, and XML that grows or nests without end."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

from genai_app.adapters.documents.child.draft import Refusal

MAX_ENTRIES = 20_000
MAX_UNPACKED = 400 << 20  # bytes of all entries
MAX_XML = 200 << 20
MAX_RATIO, RATIO_FROM = 250, 20 << 20  # of entries larger than this
MAX_DEPTH = 400  # of elements
MAX_NESTED = 3
_ENTITY = re.compile(rb"<!\0?(?:E\0?N\0?T\0?I\0?T\0?Y|D\0?O\0?C\0?T\0?Y\0?P\0?E)")

Element = ElementTree.Element


def open_archive(source: Path | IO[bytes]) -> zipfile.ZipFile:
    """Opens a zip file.

    Raises:
        Refusal: bomb, damaged.
    """
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Refusal("damaged", "zip") from error
    _check_sizes(archive)
    return archive


def _check_sizes(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise Refusal("bomb", "entries")
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
        raise Refusal("bomb", "unpacked size")
    for entry in entries:
        # the size is what the file says; zipfile reads no more than that
        if entry.file_size > RATIO_FROM and entry.file_size > MAX_RATIO * entry.compress_size:
            raise Refusal("bomb", "ratio")
        if entry.flag_bits & 1:
            raise Refusal("encrypted")


def refusal_of(archive: zipfile.ZipFile) -> Refusal:
    """Returns why a zip file that is no document is not read: a bomb, or unsupported."""
    try:
        _weigh(archive, 1)
    except Refusal as refusal:
        return refusal
    return Refusal("unsupported", "an archive")


def _weigh(archive: zipfile.ZipFile, depth: int) -> None:
    for entry in archive.infolist():
        if not entry.filename.lower().endswith(".zip"):
            continue
        if depth >= MAX_NESTED:
            raise Refusal("bomb", "archives within archives")
        try:
            with open_archive(io.BytesIO(archive.read(entry))) as inner:
                _weigh(inner, depth + 1)
        except zipfile.BadZipFile as error:
            raise Refusal("damaged", "zip") from error


def part_of(archive: zipfile.ZipFile, name: str) -> bytes | None:
    """Returns a part of a document; None if there is none."""
    try:
        entry = archive.getinfo(name.lstrip("/"))
    except KeyError:
        return None
    if entry.file_size > MAX_XML:
        raise Refusal("too_large", "a part")
    return archive.read(entry)


def tree_of(archive: zipfile.ZipFile, name: str) -> Element | None:
    """Returns the XML of a part, without its namespaces; None if there is no such part."""
    content = part_of(archive, name)
    return None if content is None else parse_xml(content)


def parse_xml(content: bytes) -> Element:
    """Returns the root of a text in XML; names of elements and attributes lose their namespaces.

    Raises:
        Refusal: bomb (it declares entities, or nests too deep), damaged.
    """
    if _ENTITY.search(content, 0, 4096):
        raise Refusal("bomb", "declares entities")
    make: Any = ElementTree.XMLPullParser  # its type is of no use
    parser = make(("start", "end"))
    depth = 0
    root: Element | None = None
    try:
        for start in range(0, len(content), 1 << 16):
            parser.feed(content[start : start + (1 << 16)])
            depth, first = _rename(parser.read_events(), depth)
            root = first if root is None else root
        parser.close()
    except ElementTree.ParseError as error:
        raise Refusal("damaged", "XML") from error
    _rename(parser.read_events(), depth)
    if root is None:
        raise Refusal("damaged", "XML")
    return root


def _rename(events: Iterator[tuple[str, Element]], depth: int) -> tuple[int, Element | None]:
    first: Element | None = None
    for event, element in events:
        if event == "end":
            depth -= 1
            continue
        first = element if first is None else first
        depth += 1
        if depth > MAX_DEPTH:
            raise Refusal("bomb", "depth")
        element.tag = element.tag.rpartition("}")[2]
        if element.attrib:
            element.attrib = {_local(name): text for name, text in element.attrib.items()}
    return depth, first


def _local(name: str) -> str:
    """Returns the name of an attribute without its namespace; `id` may stand there twice."""
    return "rid" if name.endswith("/relationships}id") else name.rpartition("}")[2]


def relations_of(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """Returns the parts that a part of an Office document names: id to (type, name of the part)."""
    folder, _, name = part.rpartition("/")
    root = tree_of(archive, f"{folder}/_rels/{name}.rels")
    relations: dict[str, tuple[str, str]] = {}
    for each in root if root is not None else ():
        target = each.get("Target", "")
        path = target.lstrip("/") if target.startswith("/") else _joined(folder, target)
        relations[each.get("Id", "")] = (each.get("Type", "").rpartition("/")[2], path)
    return relations


def _joined(folder: str, target: str) -> str:
    parts = folder.split("/") if folder else []
    for step in target.split("/"):
        if step == "..":
            parts = parts[:-1]
        elif step not in (".", ""):
            parts.append(step)
    return "/".join(parts)
