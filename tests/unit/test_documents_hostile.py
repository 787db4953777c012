"""Files made to hurt: each ends with its code, soon, and costs the server no memory."""

import asyncio
import io
import json
import os
import signal
import sqlite3
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pypdf
import pytest
from PIL import Image

from genai_app.adapters.documents.errors import UnreadableFile
from genai_app.adapters.documents.index import INDEX, SCHEMA, check_index
from genai_app.adapters.documents.reading import ROOT, ReadingLimits, read_document, run_child
from genai_app.adapters.documents.text import DocumentText
from tests.corpora.documents.compound import compound_file
from tests.fakes.app_process import eventually

CORPUS = Path(__file__).parents[1] / "corpora" / "documents" / "files"
PLAIN = ReadingLimits(ocr=False)
MAX_S = 10.0
MAX_GROWTH_MB = 50
MAIN = "word/document.xml"
LONG = "x"


def archive(**parts: bytes | str) -> bytes:
    """A zip file; `__` in a name stands for a slash."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def document(body: str, before: str = "") -> bytes:
    """A DOCX with this in its body."""
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    text = f'{before}<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'
    return archive(**{MAIN: text})


def zip_bomb() -> bytes:
    return archive(**{MAIN: b"<a>" + b" " * (60 << 20) + b"</a>"})


def nested_bomb() -> bytes:
    content = archive(**{"a.txt": b"text"})
    for _ in range(6):
        content = archive(**{"a.zip": content})
    return content


def entities() -> bytes:
    names = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(9))
    return document("<w:p><w:r><w:t>&e8;</w:t></w:r></w:p>", f"<!DOCTYPE d [{names}]>")


def large_picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def many_pages() -> bytes:
    """A PDF with 10,000 pages."""
    kids = " ".join(f"{n} 0 R" for n in range(3, 10_003))
    objects = [
        "1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj",
        f"2 0 obj <</Type/Pages/Count 10000/Kids[{kids}]>> endobj",
        *(
            f"{n} 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>> endobj"
            for n in range(3, 10_003)
        ),
    ]
    body, offsets = "%PDF-1.4\n", list[int]()
    for each in objects:
        offsets.append(len(body))
        body += each + "\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    xref = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer <</Size {size}/Root 1 0 R>>\n"
    return f"{body}{xref}startxref\n{len(body)}\n%%EOF".encode()


def encrypted_pdf() -> bytes:
    writer = pypdf.PdfWriter(clone_from=CORPUS / "hidden.pdf")
    writer.encrypt("secret", algorithm="AES-256")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def encrypted_odt() -> bytes:
    return archive(
        mimetype="application/vnd.oasis.opendocument.text",
        **{"META-INF__manifest.xml": "<m><encryption-data/></m>", "content.xml": "x"},
    )


def encrypted_zip() -> bytes:
    content = bytearray(archive(**{MAIN: "x"}))
    content[content.index(b"PK\1\2") + 8] |= 1
    return bytes(content)


def nested_mail() -> bytes:
    text = "Subject: x\r\nFrom: a@example.test\r\n\r\nend"
    for _ in range(60):
        text = f"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n{text}"
    return text.encode()


def half(name: str) -> Callable[[], bytes]:
    return lambda: (CORPUS / name).read_bytes()[: (CORPUS / name).stat().st_size // 2]


HOSTILE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "zip bomb": ("a.docx", zip_bomb, "file_bomb"),
    "archives in archives": ("a.zip", nested_bomb, "file_bomb"),
    "entities": ("a.docx", entities, "file_bomb"),
    "large picture": ("a.png", large_picture, "file_bomb"),
    "many pages": ("a.pdf", many_pages, "file_too_large"),
    "deep json": ("a.json", lambda: b"[" * 100_000 + b"]" * 100_000, "file_bomb"),
    "deep html": ("a.html", lambda: b"<html>" + b"<div>" * 50_000, "file_bomb"),
    "deep docx": ("a.docx", lambda: document("<w:p>" * 5000 + "</w:p>" * 5000), "file_bomb"),
    "deep rtf": ("a.rtf", lambda: b"{\\rtf1 " + b"{" * 50_000, "file_bomb"),
    "mail in mail": ("a.eml", nested_mail, "file_bomb"),
    "encrypted pdf": ("a.pdf", encrypted_pdf, "file_encrypted"),
    "encrypted docx": (
        "a.docx",
        lambda: compound_file({"EncryptionInfo": b"\4\0", "EncryptedPackage": b"x"}),
        "file_encrypted",
    ),
    "encrypted odt": ("a.odt", encrypted_odt, "file_encrypted"),
    "encrypted zip": ("a.zip", encrypted_zip, "file_encrypted"),
    "cut docx": ("a.docx", half("contract.docx"), "file_damaged"),
    "cut xlsx": ("a.xlsx", half("sales.xlsx"), "file_damaged"),
    "cut doc": ("a.doc", lambda: (CORPUS / "contract.doc").read_bytes()[:2000], "file_damaged"),
    "cut pdf": ("a.pdf", lambda: b"%PDF-1.7\n1 0 obj <</Type", "file_damaged"),
    "cut picture": ("a.jpg", half("photo.jpg"), "file_damaged"),
    "empty": ("a.pdf", lambda: b"", "file_empty"),
    "only spaces": ("a.txt", lambda: b" \r\n\t \n", "file_empty"),
    "no text": ("a.docx", lambda: document("<w:p/>"), "file_no_text"),
    "windows program": ("report.pdf", lambda: b"MZ\x90\0" + bytes(5000), "file_unsupported"),
    "linux program": ("notes.txt", lambda: b"\x7fELF\2\1\1" + bytes(900), "file_unsupported"),
    "noise": ("a.txt", lambda: bytes(range(256)) * 40, "file_unsupported"),
    "plain zip": ("a.zip", lambda: archive(a="text"), "file_unsupported"),
    "rar": ("a.rar", lambda: b"Rar!\x1a\7\1\0" + bytes(100), "file_unsupported"),
}


def memory_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_file_ends_with_its_code(what: str, tmp_path: Path) -> None:
    name, make, code = HOSTILE[what]
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    source.write_bytes(make())
    before, began = memory_mb(), time.monotonic()
    with pytest.raises(UnreadableFile) as raised:
        await read_document(source, name, target, PLAIN)
    assert raised.value.code == code
    assert time.monotonic() - began < MAX_S
    assert memory_mb() - before < MAX_GROWTH_MB


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "a/b\\c.txt", "\u202etxt.exe", "п" * 300 + ".txt", "a\udc80.txt", ""],
)
async def test_a_name_is_only_a_name(name: str, tmp_path: Path) -> None:
    summary = await read_document(CORPUS / "letter-koi8r.txt", name, tmp_path, PLAIN)
    assert summary.encoding == "koi8-r"
    with DocumentText(tmp_path) as text:
        assert "Фёдор Иванович" in text.page(1)


async def test_a_long_text_is_cut_and_says_so(tmp_path: Path) -> None:
    limits = ReadingLimits(chars=100, ocr=False)
    summary = await read_document(CORPUS / "server.log", "server.log", tmp_path, limits)
    assert summary.chars == 100
    assert [warning.code for warning in summary.warnings] == ["cut"]


@pytest.mark.parametrize(
    "limits",
    [ReadingLimits(wall_s=0.01), ReadingLimits(memory_mb=60, ocr=False)],
    ids=("time", "memory"),
)
async def test_a_file_that_needs_more_than_it_may_is_too_large(
    limits: ReadingLimits, tmp_path: Path
) -> None:
    source = tmp_path / "a.txt"
    source.write_text("слово " * 3_000_000)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(UnreadableFile) as raised:
        await read_document(source, "a.txt", target, limits)
    assert raised.value.code == "file_too_large"


FORKING = """
import os, sys, time
folder = sys.stdin.read()
child = os.fork()
if child == 0:
    open(folder + "/inner", "w").write(str(os.getpid()))
    os.rename(folder + "/inner", folder + "/ready")
time.sleep(600)
"""


def is_alive(process: int) -> bool:
    """Whether a process runs; one that nobody has asked for yet is dead."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@pytest.mark.fault
async def test_a_cancel_ends_the_child_and_its_children(tmp_path: Path) -> None:
    task = asyncio.create_task(run_child(FORKING, str(tmp_path).encode(), tmp_path, 60))
    ready = tmp_path / "ready"

    async def is_ready() -> bool:
        return ready.exists()

    await eventually(is_ready)
    inner = int(ready.read_text())
    assert is_alive(inner)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def is_dead() -> bool:
        return not is_alive(inner)

    await eventually(is_dead)


SERVING = """
import asyncio, os, sys
from pathlib import Path
from genai_app.adapters.documents.reading import run_child
boot = (
    "import os, sys, time; sys.path.insert(0, {root!r}); "
    "from genai_app.adapters.documents.child.confinement import die_with_parent; "
    "die_with_parent(int(sys.stdin.read())); "
    "open('inner', 'w').write(str(os.getpid())); os.rename('inner', 'ready'); time.sleep(600)"
)
asyncio.run(run_child(boot, str(os.getpid()).encode(), Path({folder!r}), 60))
"""


@pytest.mark.fault
async def test_a_child_dies_with_a_server_that_is_killed(tmp_path: Path) -> None:
    program = SERVING.format(root=str(ROOT), folder=str(tmp_path))
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=ROOT)
    ready = tmp_path / "ready"

    async def is_ready() -> bool:
        return ready.exists()

    async def is_dead() -> bool:
        return not is_alive(inner)

    try:
        await eventually(is_ready)
        inner = int(ready.read_text())
    finally:
        server.kill()
        await server.wait()
    await eventually(is_dead)


@pytest.mark.fault
async def test_a_parser_that_crashes_is_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genai_app.adapters.documents.reading._BOOT", "import os; os.abort()")
    with pytest.raises(UnreadableFile) as raised:
        await read_document(CORPUS / "notes.md", "notes.md", tmp_path, PLAIN)
    assert raised.value.code == "file_damaged"
    assert str(-signal.SIGABRT) in raised.value.detail


@pytest.mark.parametrize(
    "result",
    [
        "[]",
        '{"summary": {"media_type": "x"}}',
        '{"error": "internal"}',
        '{"summary": null, "error": null}',
        LONG,
        json.dumps(
            {
                "summary": {
                    **{"media_type": "text/plain", "kind": "text", "unit": "page"},
                    **{"pages": 1, "chars": 1, "tokens": 1},
                    "pictures": [
                        {
                            **{"name": "../../x.png", "page": 1, "media_type": "image/png"},
                            **{"width": 1, "height": 1, "bytes": 1},
                        }
                    ],
                }
            }
        ),
    ],
)
async def test_what_a_child_writes_is_not_trusted(
    result: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{result!r} * (2 << 20)" if result == LONG else repr(result)
    boot = f"open('result.json', 'w').write({text})"
    monkeypatch.setattr("genai_app.adapters.documents.reading._BOOT", boot)
    with pytest.raises(UnreadableFile) as raised:
        await read_document(CORPUS / "notes.md", "notes.md", tmp_path, PLAIN)
    assert raised.value.code == "file_damaged"


async def test_a_link_that_a_child_leaves_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = "import os; os.symlink('/etc/passwd', 'result.json')"
    monkeypatch.setattr("genai_app.adapters.documents.reading._BOOT", boot)
    with pytest.raises(UnreadableFile):
        await read_document(CORPUS / "notes.md", "notes.md", tmp_path, PLAIN)


@pytest.mark.parametrize(
    "more",
    [
        "CREATE TABLE more (a)",
        "CREATE VIEW more AS SELECT 1",
        "CREATE TRIGGER more AFTER INSERT ON pages BEGIN SELECT 1; END",
    ],
)
def test_an_index_with_anything_more_is_refused(more: str, tmp_path: Path) -> None:
    index = sqlite3.connect(tmp_path / INDEX)
    for statement in SCHEMA:
        index.execute(statement)
    index.commit()
    check_index(tmp_path / INDEX)
    index.execute(more)
    index.commit()
    index.close()
    with pytest.raises(UnreadableFile):
        check_index(tmp_path / INDEX)
