"""Which format hides in a ZIP or an OLE container, told from the names inside: no library reads the file for it."""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

# The beginning of what a `mimetype` entry says; templates and masters begin like the documents they are for.
MIMETYPES = {
    b"application/epub+zip": "epub",
    b"application/vnd.oasis.opendocument.text": "odt",
    b"application/vnd.oasis.opendocument.spreadsheet": "ods",
    b"application/vnd.oasis.opendocument.presentation": "odp",
    b"application/vnd.oasis.opendocument.graphics": "odg",
    b"application/vnd.sun.xml.writer": "sxw",
    b"application/vnd.sun.xml.calc": "sxc",
    b"application/vnd.sun.xml.impress": "sxi",
}
# Names in a ZIP that decide, the first first. Those of Office's formats count only beside "[Content_Types].xml".
CONTENT_TYPES = b"[Content_Types].xml"
OFFICE_NAMES = {
    b"word/": "docx",
    b"ppt/": "pptx",
    b"xl/workbook.bin": "xlsb",
    b"xl/": "xlsx",
    b"visio/": "vsdx",
    b"FixedDocSeq": "xps",
    b"FixedDocumentSequence": "xps",
}
OTHER_NAMES = {
    b"META-INF/container.xml": "epub",
    b"Index/Slide": "key",
    b"index.apxl": "key",
    b"Index/Document.iwa": "pages",
    b"Index.zip": "pages",
    b"AndroidManifest.xml": "apk",
    b"META-INF/MANIFEST.MF": "jar",
}
# StarOffice's files have no mark but these two together; iWork's may be folders, named like the document.
STAR_OFFICE = {b"content.xml", b"META-INF/manifest.xml"}
PACKAGE_FOLDER = re.compile(rb"^[^/]+\.(?:key|pages|numbers)/")
CENTRAL_DIRECTORY_BYTES = 1 << 20

# Streams and storages at the top of an OLE container; the first that is there decides.
STREAMS = {
    "EncryptedPackage": "encrypted",
    "WordDocument": "doc",
    "PowerPoint Document": "ppt",
    "Workbook": "xls",
    "Book": "xls",
    "__properties_version1.0": "msg",
    "Quill": "pub",
    "VisioDocument": "vsd",
    "BodyText": "hwp",
    "MatOST": "wps",
    "Catalog": "thumbs",
}
KINDS = frozenset({"zip", *MIMETYPES.values(), *OFFICE_NAMES.values(), *OTHER_NAMES.values(), *STREAMS.values()})
ENTRY_BYTES = 128
DIRECTORY_BYTES = 512 * ENTRY_BYTES
_NO_ENTRY = 0xFFFFFFFF


def zip_format(file: BinaryIO, head: bytes, tail: bytes) -> str | None:
    """`zip` for an ordinary archive; None when the container is too damaged to name what it holds."""
    stored = re.match(rb"mimetype(application/[a-z0-9.+-]+)", head[30:200])
    if stored:
        # The type is stored as it is; what follows it is the next entry's signature "PK".
        declared = stored.group(1)
        return next((name for mimetype, name in MIMETYPES.items() if declared.startswith(mimetype)), "zip")
    complete = _central_names(file, tail)
    names = {PACKAGE_FOLDER.sub(b"", name) for name in complete or _local_names(head)}
    if names >= STAR_OFFICE:
        return "sxw"
    deciding = {**OFFICE_NAMES, **OTHER_NAMES} if CONTENT_TYPES in names else OTHER_NAMES
    kind = next((kind for start, kind in deciding.items() if any(name.startswith(start) for name in names)), None)
    return kind or ("zip" if complete else None)


def _central_names(file: BinaryIO, tail: bytes) -> set[bytes]:
    """Names from the central directory, which may lie before `tail`; empty when it cannot be found."""
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or end + 22 > len(tail):
        return set()
    (length,) = struct.unpack_from("<I", tail, end + 12)
    if length <= end:
        return _names(tail[end - length : end])
    start = file.seek(0, 2) - len(tail) + end - length
    file.seek(max(0, start))
    return _names(file.read(min(length, CENTRAL_DIRECTORY_BYTES))) if start >= 0 else set()


def _names(directory: bytes) -> set[bytes]:
    names = set()
    at = 0
    while directory[at : at + 4] == b"PK\x01\x02" and at + 46 <= len(directory):
        name, extra, comment = struct.unpack_from("<HHH", directory, at + 28)
        names.add(_slashed(directory[at + 46 : at + 46 + name]))
        at += 46 + name + extra + comment
    return names


def _local_names(head: bytes) -> set[bytes]:
    """Names from the headers before each entry, as far as they are in `head`: what a truncated file still has."""
    names = set()
    for match in re.finditer(rb"PK\x03\x04", head):
        if match.start() + 30 <= len(head):
            (length,) = struct.unpack_from("<H", head, match.start() + 26)
            names.add(_slashed(head[match.start() + 30 : match.start() + 30 + length]))
    return names


def _slashed(name: bytes) -> bytes:
    return name.replace(b"\\", b"/").removeprefix(b"/")


def ole_format(file: BinaryIO) -> str | None:
    """From the names at the top of the container's directory; None when nothing familiar is there."""
    file.seek(0)
    header = file.read(80)
    if len(header) < 80:
        return None
    (sector_power,) = struct.unpack_from("<H", header, 30)
    (first_sector,) = struct.unpack_from("<I", header, 48)
    if sector_power not in (9, 12):
        return None
    file.seek((first_sector + 1) << sector_power)
    directory = file.read(DIRECTORY_BYTES)
    entries = [directory[at : at + ENTRY_BYTES] for at in range(0, len(directory) - ENTRY_BYTES + 1, ENTRY_BYTES)]
    names = _top_names(entries)
    return next((kind for name, kind in STREAMS.items() if name in names), None)


def _top_names(entries: list[bytes]) -> set[str]:
    """Names right below the root, which form a tree; all names when the tree leaves the part that was read."""
    if not entries:
        return set()
    (child,) = struct.unpack_from("<I", entries[0], 76)
    waiting, seen = [child], set[int]()
    while waiting:
        number = waiting.pop()
        if number == _NO_ENTRY or number in seen:
            continue
        if number >= len(entries):
            return set(map(_stream_name, entries))
        seen.add(number)
        waiting += struct.unpack_from("<II", entries[number], 68)
    return {_stream_name(entries[number]) for number in seen}


def _stream_name(entry: bytes) -> str:
    (length,) = struct.unpack_from("<H", entry, 64)
    return entry[: max(0, min(length, 64) - 2)].decode("utf-16-le", errors="replace")
