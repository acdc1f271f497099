"""What a file is and who reads it: by its suffix, unless its first bytes say otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ingest.container_magic import ole_format, zip_format
from ingest.errors import Encrypted, Unreadable, Unsupported

HEAD_BYTES = 8192
TAIL_BYTES = 65_536


@dataclass(frozen=True)
class Format:
    """`reader` is a name of `ingest.readers.registry`. `version` rises when the reader's result changes."""

    name: str
    reader: str
    version: int = 1

    @property
    def identity(self) -> str:
        """Part of the key of what was read: a new version of a reader reads old files again."""
        return f"{self.name}/{self.version}"


FORMATS = {
    format.name: format
    for format in (
        Format("pdf", "pdf"),
        Format("markdown", "markdown"),
        Format("text", "plain"),
        Format("csv", "table"),
        Format("tsv", "table"),
        Format("json", "json"),
        Format("jsonl", "json"),
        Format("xml", "xml"),
        Format("html", "html"),
        Format("eml", "message"),
        Format("msg", "outlook"),
        Format("docx", "office"),
        Format("pptx", "office"),
        Format("xlsx", "spreadsheet"),
        Format("xls", "spreadsheet"),
        Format("doc", "office"),
        Format("ppt", "office"),
        Format("rtf", "pandoc"),
        Format("odt", "pandoc"),
        Format("epub", "pandoc"),
    )
}

SUFFIXES = {
    suffix: name
    for name, suffixes in {
        "pdf": "pdf",
        "markdown": "md markdown mdown mkd",
        "text": "txt text log rst org adoc asciidoc tex bib yaml yml toml ini cfg conf srt vtt ics vcf mbox "
        "py js ts java c h cpp hpp cs go rs rb php sh sql css r jl lua pl kt swift bat ps1",
        "csv": "csv",
        "tsv": "tsv tab",
        "json": "json ipynb geojson",
        "jsonl": "jsonl ndjson",
        "xml": "xml nxml xlf xsd xsl rss atom svg fodt fods fodp",
        "html": "html htm xhtml",
        "eml": "eml mht mhtml p7s",
        "msg": "msg",
        "docx": "docx docm dotx dotm",
        "pptx": "pptx pptm potx ppsx",
        "xlsx": "xlsx xlsm xltx",
        "xls": "xls",
        "doc": "doc dot",
        "ppt": "ppt pps",
        "rtf": "rtf",
        "odt": "odt ott",
        "epub": "epub",
    }.items()
    for suffix in suffixes.split()
}

NOT_READ = {
    suffix: reason
    for reason, suffixes in {
        "a picture: recognising text in pictures (OCR) is not part of this version": (
            "png jpg jpeg gif bmp tif tiff webp heic heif avif ico psd"
        ),
        "a sound recording: speech recognition is not part of this version": "mp3 wav m4a ogg oga opus flac aac wma",
        "a film: speech recognition is not part of this version": "mp4 mkv mov avi webm wmv m4v",
        "an archive: unpack it into the folder to have its files read": "zip tar gz tgz bz2 xz 7z rar zst jar",
        "a binary spreadsheet: save it as .xlsx": "xlsb",
        "an OpenDocument file of a kind not read yet: save it as .xlsx, .pptx or .pdf": "ods odp odg sxw sxc sxi",
        "an iWork file: export it as .docx, .pptx, .xlsx or .pdf": "pages key numbers",
        "a database": "db sqlite sqlite3 mdb accdb dbf",
        "a program or a compiled file": "exe dll so dylib bin class pyc o a wasm",
        "a drawing": "dwg dxf vsd vsdx",
        "a format that is not read yet: export it as .pdf": "one onetoc2 pub wps wpd wp hwp chm xps dat",
    }.items()
    for suffix in suffixes.split()
}

MAGIC_NOT_READ = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF8": "gif",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
    b"ID3": "mp3",
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"\x7fELF": "so",
    b"SQLite format 3": "sqlite",
}

HTML_START = re.compile(rb"<(!doctype html|html|head|body|div|h[1-6]|table|p)\b[^<]*>")
MAIL_HEADER = re.compile(rb"^(from|to|subject|date|mime-version|message-id|received|return-path|delivered-to):", re.I)
BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


def detect(path: Path) -> Format:
    """Raises Unsupported with a reason for people, Encrypted for locked Office files, Unreadable when empty."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read(TAIL_BYTES)
    except OSError as exc:
        raise Unreadable(f"{path.name} cannot be opened ({exc.strerror}).") from exc
    if not size:
        raise Unreadable(f"{path.name} is empty (0 bytes).")
    suffix = path.suffix.lower().removeprefix(".")
    return FORMATS[_name(path, suffix, head, tail)]


def _name(path: Path, suffix: str, head: bytes, tail: bytes) -> str:
    by_content = _name_by_magic(path, suffix, head, tail)
    if by_content is not None:
        return by_content
    if suffix in NOT_READ:
        raise Unsupported(f"{path.name} is {NOT_READ[suffix]}.")
    name = SUFFIXES.get(suffix)
    if name in (None, "text"):
        return _name_of_text(path, suffix, head, name)
    return name or "text"


def _name_by_magic(path: Path, suffix: str, head: bytes, tail: bytes) -> str | None:
    """What the first bytes leave no doubt about; None when they do not contradict the suffix."""
    if head.startswith(b"%PDF-") or (suffix == "pdf" and b"%PDF-" in head[:1024]):
        return "pdf"
    if head.startswith(b"{\\rtf"):
        return "rtf"
    if head.startswith(b"PK\x03\x04"):
        return _name_of_zip(path, suffix, head, tail)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _name_of_ole(path, suffix)
    for magic, kind in MAGIC_NOT_READ.items():
        if head.startswith(magic):
            raise Unsupported(f"{path.name} is {NOT_READ[kind]}.")
    return None


def _name_of_zip(path: Path, suffix: str, head: bytes, tail: bytes) -> str:
    if suffix in NOT_READ and suffix != "zip":
        raise Unsupported(f"{path.name} is {NOT_READ[suffix]}.")
    kind = zip_format(head, tail) or (
        SUFFIXES.get(suffix) if suffix in ("docx", "pptx", "xlsx", "odt", "epub") else None
    )
    if kind is None:
        raise Unsupported(f"{path.name} is {NOT_READ['zip']}.")
    if kind not in FORMATS:
        raise Unsupported(f"{path.name} is {NOT_READ.get(kind, NOT_READ['ods'])}.")
    return kind


def _name_of_ole(path: Path, suffix: str) -> str:
    kind = ole_format(path)
    if kind == "encrypted":
        raise Encrypted(f"{path.name} is protected with a password. Remove the password to have it read.")
    if kind is not None:
        return kind
    name = SUFFIXES.get(suffix)
    if name in ("doc", "ppt", "xls", "msg"):
        return name
    raise Unsupported(f"{path.name} is {NOT_READ.get(suffix, NOT_READ['one'])}.")


def _name_of_text(path: Path, suffix: str, head: bytes, name: str | None) -> str:
    """Plain text by name, or a file whose suffix says nothing: look what kind of text it is, if it is text."""
    if name is None and b"\x00" in head and not head.startswith(BYTE_ORDER_MARKS):
        kind = f"files ending in .{suffix}" if suffix else "files without an ending"
        raise Unsupported(f"{path.name} is not text, and {kind} are not read.")
    if suffix not in ("", "txt", "text") and name == "text":
        return "text"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1024].lower()
    if HTML_START.match(start):
        return "html"
    if start.startswith(b"<?xml"):
        return "xml"
    first_lines = head.split(b"\n", 6)[:6]
    if sum(bool(MAIL_HEADER.match(line)) for line in first_lines) >= 2 and MAIL_HEADER.match(head):
        return "eml"
    return "text"
