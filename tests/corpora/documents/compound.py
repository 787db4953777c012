"""Writes compound files, the form of DOC, XLS and MSG, for tests."""

import struct
from collections.abc import Mapping
from itertools import pairwise

SECTOR = 512
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
NO_STREAM = 0xFFFFFFFF


def compound_file(streams: Mapping[str, bytes]) -> bytes:
    """Returns a file with streams; `a/b` is the stream b in the storage a. Streams are padded to
    4096 bytes, so that none is small."""
    entries: list[tuple[str, int, list[int], int, int]] = [("Root Entry", 5, [], END, 0)]
    folders = {"": 0}
    data: list[bytes] = []
    for path, content in streams.items():
        folder, _, name = path.rpartition("/")
        if folder not in folders:
            folders[folder] = len(entries)
            entries[0][2].append(len(entries))
            entries.append((folder, 1, [], END, 0))
        entries[folders[folder]][2].append(len(entries))
        start = sum(len(each) for each in data) // SECTOR
        size = max(len(content), 4096)
        entries.append((name, 2, [], start, size if len(content) > 4096 else 4096))
        data.append(content.ljust(size + -size % SECTOR, b"\0"))
    table: list[int] = []
    for each in data:
        count = len(each) // SECTOR
        table += [*range(len(table) + 1, len(table) + count), END]
    directory = directory_of(entries)
    first_directory = len(table)
    count = len(directory) // SECTOR
    table += [*range(first_directory + 1, first_directory + count), END]
    fat_sectors = 1
    while (len(table) + fat_sectors) > fat_sectors * SECTOR // 4:
        fat_sectors += 1
    first_fat = len(table)
    table += [FAT] * fat_sectors
    table += [FREE] * (fat_sectors * SECTOR // 4 - len(table))
    difat = [*range(first_fat, first_fat + fat_sectors)] + [FREE] * (109 - fat_sectors)
    head = struct.pack(
        "<8s16sHHHHH6sIIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        bytes(16),
        *(0x3E, 3, 0xFFFE, 9, 6),
        bytes(6),
        *(0, fat_sectors, first_directory, 0, 4096, END, 0, END, 0),
        difat[0],
    ) + struct.pack("<108I", *difat[1:])
    return head + b"".join(data) + directory + struct.pack(f"<{len(table)}I", *table)


def directory_of(entries: list[tuple[str, int, list[int], int, int]]) -> bytes:
    """Returns the directory; the children of a storage hang on one another to the right."""
    right: dict[int, int] = {}
    for _, _, children, _, _ in entries:
        ordered = sorted(children, key=lambda n: (len(entries[n][0]), entries[n][0].upper()))
        right |= dict(pairwise(ordered))
        children[:] = ordered
    packed = b""
    for number, (name, kind, children, start, size) in enumerate(entries):
        label = name.encode("utf-16-le") + b"\0\0"
        child = children[0] if children else NO_STREAM
        packed += struct.pack(
            "<64sHBBIII16sI8s8sIQ",
            label,
            len(label),
            kind,
            1,
            NO_STREAM,
            right.get(number, NO_STREAM),
            child,
            bytes(16),
            0,
            bytes(8),
            bytes(8),
            start,
            size,
        )
    return packed.ljust(len(packed) + -len(packed) % SECTOR, b"\0")
