"""Documents of Hangul, Korea's word processor: hwp 5 (records in an OLE container) and hwpx (XML in a ZIP)."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Page, Summary
from ingest.errors import Encrypted, LimitReached, Unreadable
from ingest.readers import ole_file
from ingest.readers.assembly import PageAssembly
from ingest.readers.embedded_pictures import pictures_left_out
from ingest.readers.markup import children, descendants, name_of
from ingest.readers.office_package import Package
from ingest.task import Task

COMPRESSED, LOCKED, DISTRIBUTED = 1, 2, 4
PARAGRAPH_TEXT = 67
WHOLE_SIZE = 0xFFF
# Characters below 32 are controls. These stand alone, all others fill eight places.
SINGLE = {0, 10, 13, *range(24, 32)}
SECTION = re.compile(r"(?:BodyText/Section|Contents/section)(\d+)(?:\.xml)?$")


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """One page. Raises Encrypted, Unreadable, LimitReached."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    assembly = PageAssembly()
    pictures = _fill_new(assembly, path, task) if zipped else _fill_old(assembly, path, task)
    if assembly.empty:
        raise Unreadable(f"{path.name} holds no text.")
    yield assembly.page()
    yield Summary(None, 1, pictures_left_out(pictures))


def _fill_old(assembly: PageAssembly, path: Path, task: Task) -> int:
    with ole_file.opened(path) as ole:
        names = ["/".join(name) for name in ole.listdir()]
        if "FileHeader" not in names:
            raise Unreadable(f"{path.name} is damaged: its header is missing.")
        (flags,) = struct.unpack_from("<I", ole.openstream("FileHeader").read().ljust(40, b"\x00"), 36)
        if flags & (LOCKED | DISTRIBUTED):
            raise Encrypted(f"{path.name} is protected with a password or against copying. Save a copy without it.")
        for name in _sections(names):
            raw = ole.openstream(name).read()
            for text in _paragraphs(_unpacked(raw, path, task) if flags & COMPRESSED else raw):
                assembly.add("paragraph", text)
        return sum(name.startswith("BinData/") for name in names)


def _unpacked(raw: bytes, path: Path, task: Task) -> bytes:
    unpacker = zlib.decompressobj(-15)
    try:
        content = unpacker.decompress(raw, task.limits.unpacked_bytes)
    except zlib.error as exc:
        raise Unreadable(f"{path.name} is damaged: a section cannot be unpacked ({exc}).") from exc
    if unpacker.unconsumed_tail:
        raise LimitReached(f"{path.name} unpacks to more than {task.limits.unpacked_bytes:,} bytes.")
    return content


def _sections(names: list[str]) -> list[str]:
    found = [(int(match.group(1)), name) for name in names if (match := SECTION.search(name))]
    return [name for _, name in sorted(found)]


def _paragraphs(data: bytes) -> Iterator[str]:
    at = 0
    while at + 4 <= len(data):
        (head,) = struct.unpack_from("<I", data, at)
        at += 4
        size = head >> 20
        if size == WHOLE_SIZE and at + 4 <= len(data):
            (size,) = struct.unpack_from("<I", data, at)
            at += 4
        if head & 0x3FF == PARAGRAPH_TEXT:
            yield _text(data[at : at + size])
        at += size


def _text(raw: bytes) -> str:
    units = struct.unpack(f"<{len(raw) // 2}H", raw[: len(raw) // 2 * 2])
    kept: list[int] = []
    at = 0
    while at < len(units):
        unit = units[at]
        if unit >= 32 or unit in (9, 10):
            kept.append(unit)
        at += 1 if unit >= 32 or unit in SINGLE else 8
    return struct.pack(f"<{len(kept)}H", *kept).decode("utf-16-le", errors="replace").strip()


def _fill_new(assembly: PageAssembly, path: Path, task: Task) -> int:
    package = Package(path, task)
    try:
        for name in _sections(package.names()):
            root = package.root(name)
            for paragraph in descendants(root, "p") if root is not None else ():
                runs = (run for run in paragraph if name_of(run) == "run")
                texts = ("".join(text.itertext()) for run in runs for text in children(run, "t"))
                assembly.add("paragraph", "".join(texts).strip())
        return sum(name.startswith("BinData/") for name in package.names())
    finally:
        package.close()
