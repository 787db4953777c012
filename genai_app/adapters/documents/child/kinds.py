"""Finds out what a file is by its content. The name decides only between kinds of text."""

import re
import zipfile
from dataclasses import dataclass

from genai_app.adapters.documents.child.archives import open_archive, refusal_of
from genai_app.adapters.documents.child.draft import ReadingJob, Refusal

_HEAD = 4096  # bytes
_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPEN = "application/vnd.oasis.opendocument"


@dataclass(frozen=True, slots=True)
class FileType:
    reader: str
    media_type: str
    kind: str


PDF = FileType("pdf", "application/pdf", "pdf")
DOCX = FileType("docx", f"{_OFFICE}.wordprocessingml.document", "document")
XLSX = FileType("xlsx", f"{_OFFICE}.spreadsheetml.sheet", "sheets")
XLSB = FileType("xlsb", "application/vnd.ms-excel.sheet.binary.macroenabled.12", "sheets")
PPTX = FileType("pptx", f"{_OFFICE}.presentationml.presentation", "slides")
ODT = FileType("odt", f"{_OPEN}.text", "document")
ODS = FileType("ods", f"{_OPEN}.spreadsheet", "sheets")
ODP = FileType("odp", f"{_OPEN}.presentation", "slides")
RTF = FileType("rtf", "application/rtf", "document")
DOC = FileType("doc", "application/msword", "document")
XLS = FileType("xls", "application/vnd.ms-excel", "sheets")
PPT = FileType("ppt", "application/vnd.ms-powerpoint", "slides")
MSG = FileType("msg", "application/vnd.ms-outlook", "mail")
EML = FileType("eml", "message/rfc822", "mail")
HTML = FileType("html", "text/html", "web")
CSV = FileType("csv", "text/csv", "table")
TEXT = FileType("text", "text/plain", "text")

_PICTURES: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"RIFF.{4}WEBP", re.S), "image/webp"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"BM.{4}\0\0\0\0.{3}\0", re.S), "image/bmp"),
    (re.compile(rb"II\*\0|MM\0\*"), "image/tiff"),
    (re.compile(rb"....ftyp(heic|heix|hevc|heim|heis|mif1|msf1)", re.S), "image/heic"),
)
# programs, archives and media by their first bytes: what they are called is no matter
_FOREIGN = re.compile(
    rb"MZ|\x7fELF|\xca\xfe\xba\xbe|[\xfe\xcf\xce]\xed\xfa[\xce\xcf]|\xcf\xfa\xed\xfe|\xce\xfa\xed\xfe"
    rb"|7z\xbc\xaf'\x1c|Rar!|\x1f\x8b|BZh|\xfd7zXZ\0|\x28\xb5\x2f\xfd|ID3|OggS|\x1aE\xdf\xa3"
    rb"|SQLite format 3\0|\0asm|LZIP|MSCF|.{257}ustar|.{4}ftyp|\xc5\xd0\xd3\xc6",
    re.S,
)
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1a]")
_MAIL_HEADER = re.compile(
    rb"(?:From|To|Subject|Date|Received|Return-Path|MIME-Version|Message-ID|Delivered-To|X-[\w-]+):"
    rb"[ \t]?[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n",
    re.I,
)
_HTML = re.compile(rb"<!doctype\s+html|<html[\s>]|<body[\s>]", re.I)
_RECORDS = {
    "WordDocument": DOC,
    "Workbook": XLS,
    "Book": XLS,
    "PowerPoint Document": PPT,
    "__properties_version1.0": MSG,
}
_MIMETYPES = {each.media_type: each for each in (ODT, ODS, ODP)}
_CODE = frozenset(
    {
        *("py", "js", "ts", "tsx", "jsx", "java", "kt", "c", "h", "cc", "cpp", "hpp", "cs"),
        *("go", "rs", "rb", "php", "pl", "lua", "sql", "sh", "bash", "ps1", "bat", "cmd"),
        *("vb", "vbs", "bas", "pas", "swift", "scala", "r", "m", "css", "scss", "json"),
        *("yaml", "yml", "xml", "toml", "ini", "cfg", "conf", "properties", "tf", "diff"),
        *("patch", "dockerfile", "makefile", "1c", "bsl", "os", "xsl", "xsd", "wsdl", "proto"),
    }
)


def file_type(job: ReadingJob) -> FileType:
    """Returns what the file of a job is.

    Raises:
        Refusal: it is empty, encrypted, damaged, a bomb or nothing that can be read.
    """
    with open(job.source, "rb") as file:
        head = file.read(_HEAD)
    if not head.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        raise Refusal("empty")
    if b"%PDF-" in head[:1024]:
        return PDF
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_archive(job)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _of_compound(job)
    if head.lstrip().startswith(b"{\\rtf"):
        return RTF
    for pattern, media_type in _PICTURES:
        if pattern.match(head):
            return FileType("picture", media_type, "picture")
    # a text may begin with the same letters
    if _FOREIGN.match(head) and _CONTROLS.search(head):
        raise Refusal("unsupported", "its first bytes")
    return _of_text(job, head)


def _of_archive(job: ReadingJob) -> FileType:
    with open_archive(job.source) as archive:
        names = set(archive.namelist())
        if "mimetype" in names:
            media_type = archive.read("mimetype")[:100].decode("ascii", "replace").strip()
            media_type = media_type.removesuffix("-template")
            if media_type in _MIMETYPES:
                return _open_document(archive, names, _MIMETYPES[media_type])
        for mark, kind in (
            ("word/document.xml", DOCX),
            ("xl/workbook.xml", XLSX),
            ("xl/workbook.bin", XLSB),
            ("ppt/presentation.xml", PPTX),
        ):
            if mark in names:
                return kind
        # some programs name the parts as they like
        if "[Content_Types].xml" in names:
            types = archive.read("[Content_Types].xml")
            for kind in (DOCX, XLSX, PPTX):
                if f"{kind.media_type}.main+xml".encode() in types:
                    return kind
        raise refusal_of(archive)


def _open_document(archive: zipfile.ZipFile, names: set[str], kind: FileType) -> FileType:
    if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read(
        "META-INF/manifest.xml"
    ):
        raise Refusal("encrypted")
    return kind


def _of_compound(job: ReadingJob) -> FileType:
    import olefile

    try:
        with olefile.OleFileIO(str(job.source)) as file:
            names = {"/".join(each) for each in file.listdir()}
    except OSError as error:
        raise Refusal("damaged", "compound file") from error
    if "EncryptedPackage" in names or "EncryptionInfo" in names:
        raise Refusal("encrypted")
    for name, kind in _RECORDS.items():
        if name in names:
            return kind
    raise Refusal("unsupported", "compound file")


def _of_text(job: ReadingJob, head: bytes) -> FileType:
    extension = job.extension
    if extension in ("csv", "tsv", "tab"):
        return CSV
    if extension in ("html", "htm", "xhtml", "mht", "mhtml") or (
        extension not in _CODE and extension not in ("md", "txt", "log") and _HTML.search(head)
    ):
        return EML if _is_mail(head) else HTML
    if _is_mail(head) and extension not in ("txt", "log", "md"):
        return EML
    if extension == "json":
        return FileType("text", "application/json", "code")
    if extension in ("xml", "svg", "xsd", "xsl"):
        return FileType("text", "application/xml", "code")
    if extension in ("yaml", "yml"):
        return FileType("text", "application/yaml", "code")
    if extension in ("md", "markdown"):
        return FileType("text", "text/markdown", "text")
    return FileType("text", "text/plain", "code") if extension in _CODE else TEXT


def _is_mail(head: bytes) -> bool:
    """Returns whether a text begins with two lines that only mail has."""
    first = _MAIL_HEADER.match(head)
    return first is not None and _MAIL_HEADER.match(head, first.end()) is not None
