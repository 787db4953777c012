"""The program of the child: confines itself, reads the file, writes index, pictures and result."""

import importlib
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from genai_app.adapters.documents.child.confinement import confine, die_with_parent, set_bounds
from genai_app.adapters.documents.child.draft import Draft, Enough, ReadingJob, Refusal
from genai_app.adapters.documents.child.kinds import FileType, file_type
from genai_app.adapters.documents.child.ocr import find_tesseract

# readers are imported only for their files: a start costs what the file needs
READERS = {
    "pdf": "pdf",
    **dict.fromkeys(("docx",), "docx"),
    **dict.fromkeys(("pptx",), "pptx"),
    **dict.fromkeys(("odt", "odp"), "odf"),
    **dict.fromkeys(("xlsx", "xlsb", "xls", "ods"), "sheets"),
    **dict.fromkeys(("doc", "ppt"), "legacy"),
    **dict.fromkeys(("csv", "text"), "plain"),
    "rtf": "rtf",
    "eml": "mail",
    "msg": "msg",
    "html": "web",
    "picture": "pictures",
}
_PACKAGE = "genai_app.adapters.documents.child"


def main(job: dict[str, Any]) -> None:
    """Runs one job and ends the process."""
    die_with_parent(job["parent"])
    os.umask(0o077)
    set_bounds(job["memory_mb"], job["cpu_s"], job["output_mb"])
    target = Path(job["target"])
    tempfile.tempdir = str(target)
    draft = Draft(
        ReadingJob(
            source=Path(job["source"]),
            name=job["name"],
            target=target,
            pages=job["pages"],
            chars=job["chars"],
            pictures=job["pictures"],
            ocr_s=job["wall_s"] * 0.6 if job["ocr"] and find_tesseract() else 0.0,
        )
    )
    libraries = [path for path in sys.path if path != job["paths"][0]]
    readable = [*libraries, str(Path(__file__).parents[3]), sys.base_prefix, job["source"]]
    system = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom"]
    confine([*readable, *system], [str(target), "/dev/null"], programs=draft.job.ocr_s > 0)
    with open(target / "result.json", "w", encoding="utf-8") as file:
        json.dump(_result(draft), file)


def _result(draft: Draft) -> dict[str, Any]:
    try:
        read_file(draft)
        _check_content(draft)
        from genai_app.adapters.documents.child.finish import summary_of

        return {"summary": summary_of(draft)}
    except Refusal as refusal:
        return {"error": refusal.code, "detail": str(refusal)[:300]}
    except (MemoryError, RecursionError) as error:
        code = "file_too_large" if isinstance(error, MemoryError) else "file_bomb"
        return {"error": code, "detail": _where(error)}
    except Exception as error:
        return {"error": "file_damaged", "detail": _where(error)}


def _where(error: BaseException) -> str:
    """Returns type and line of an error. Its text may quote the file, so it stays away."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    line = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__} {line}"[:300]


def read_file(draft: Draft) -> None:
    """Reads the file of a draft's job into it.

    Raises:
        Refusal: it cannot be read.
    """
    try:
        kind = file_type(draft.job)
        draft.media_type, draft.kind = kind.media_type, kind.kind
        _read_as(kind, draft)
    except Enough:
        pass
    except zipfile.BadZipFile as error:
        raise Refusal("damaged", "zip") from error


def _read_as(kind: FileType, draft: Draft) -> None:
    reader = importlib.import_module(f"{_PACKAGE}.{READERS[kind.reader]}")
    reader.read(draft)


def _check_content(draft: Draft) -> None:
    if draft.pictures or draft.picture_pages:
        return
    if not any(page.text.strip() or page.rows for page in draft.pages):
        raise Refusal("no_text")
