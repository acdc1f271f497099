"""Which format hides in a ZIP or an OLE container, told from a few bytes: no library opens the file for it."""

from __future__ import annotations

import re
import struct
from pathlib import Path

MIMETYPES = {
    b"application/epub+zip": "epub",
    b"application/vnd.oasis.opendocument.text": "odt",
    b"application/vnd.oasis.opendocument.spreadsheet": "ods",
    b"application/vnd.oasis.opendocument.presentation": "odp",
    b"application/vnd.sun.xml.writer": "sxw",
}
FOLDERS = {b"word/": "docx", b"ppt/": "pptx", b"xl/workbook.bin": "xlsb", b"xl/": "xlsx", b"visio/": "vsdx"}

# Names of streams in an OLE folder, which are UTF-16; the first that is there decides.
STREAMS = {
    "EncryptedPackage": "encrypted",
    "WordDocument": "doc",
    "PowerPoint Document": "ppt",
    "Workbook": "xls",
    "Book": "xls",
    "__properties_version1.0": "msg",
}
DIRECTORY_BYTES = 64 * 128


def zip_format(head: bytes, tail: bytes) -> str | None:
    """From the first 8 KiB and the last 64 KiB of a ZIP file, which hold its first and its last names."""
    stored = re.search(rb"mimetype(application/[a-z0-9.+-]+)", head[:200])
    if stored:
        # The type is stored as it is; what follows it is the next entry's signature "PK".
        declared = stored.group(1)
        return next((name for mimetype, name in MIMETYPES.items() if declared.startswith(mimetype)), None)
    names = head + tail
    if b"[Content_Types].xml" not in names:
        return None
    return next((name for folder, name in FOLDERS.items() if folder in names), None)


def ole_format(path: Path) -> str | None:
    """From the first sector of the container's directory of streams; None when nothing familiar is there."""
    with path.open("rb") as file:
        header = file.read(80)
        if len(header) < 80:
            return None
        (sector_power,) = struct.unpack_from("<H", header, 30)
        (first_sector,) = struct.unpack_from("<I", header, 48)
        if sector_power not in (9, 12):
            return None
        file.seek((first_sector + 1) << sector_power)
        directory = file.read(DIRECTORY_BYTES)
    names = {_stream_name(directory[at : at + 128]) for at in range(0, len(directory) - 127, 128)}
    return next((kind for name, kind in STREAMS.items() if name in names), None)


def _stream_name(entry: bytes) -> str:
    (length,) = struct.unpack_from("<H", entry, 64)
    return entry[: max(0, min(length, 64) - 2)].decode("utf-16-le", errors="replace")
