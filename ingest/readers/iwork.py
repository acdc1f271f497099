"""Documents of Apple's Pages, Numbers and Keynote: their preview as PDF where there is one, else their texts.

Since 2013 the texts lie in packed protocol buffers. Texts of paragraphs and of cells are read from them; the numbers in
cells and the places on a slide are not, and the summary says so.
"""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.readers.containers import check_container
from ingest.readers.iwork_archive import NotPacked, messages, strings, unpacked
from ingest.readers.markup import descendants, parsed, text_of
from ingest.task import Task

PREVIEWS = ("quicklook/preview.pdf", "preview.pdf")
OLD_MAIN_PARTS = ("index.xml", "index.apxl", "index.xml.gz", "index.apxl.gz")
# Kinds of messages that hold texts, and the fields in which they stand.
STORAGE, LIST_OF_CELLS = (2001, 2005, 2022), (6005,)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Raises Encrypted, Unreadable, LimitReached."""
    check_container(path, task.limits)
    try:
        yield from _read(path, task)
    except (zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError) as exc:
        raise Unreadable(f"{path.name} is damaged: a part of it cannot be unpacked ({exc}).") from exc


def _read(path: Path, task: Task) -> Iterator[Page | Summary]:
    with zipfile.ZipFile(path) as package:
        names = package.namelist()
        preview = next((name for name in names if name.lower().endswith(PREVIEWS)), None)
        if preview is None:
            yield from _texts(path, package, task)
            return
        content = package.read(preview)
    from ingest.readers import pdf

    with tempfile.TemporaryDirectory(prefix="iwork-", dir=os.getcwd()) as folder:
        copy = Path(folder) / "preview.pdf"
        copy.write_bytes(content)
        yield from pdf.read(copy, task)


def _texts(path: Path, package: zipfile.ZipFile, task: Task) -> Iterator[Page | Summary]:
    assembly = PageAssembly()
    old = next((name for name in package.namelist() if name.lower().endswith(OLD_MAIN_PARTS)), None)
    for text in _old_texts(package.read(old), task) if old else _new_texts(path, package, task):
        assembly.add("paragraph", text)
    if assembly.empty:
        raise Unreadable(f"{path.name} holds no text that can be read. Export it as .docx, .pptx, .xlsx or .pdf.")
    yield assembly.page()
    yield Summary(None, 1, (Omission("numbers in cells, order and pictures", "of this format only texts are read; "
                                     "export it as .docx, .pptx, .xlsx or .pdf for all of it"),))  # fmt: skip


def _old_texts(content: bytes, task: Task) -> Iterator[str]:
    if content.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            content = file.read(task.limits.unpacked_bytes)
    root = parsed(content)
    for paragraph in descendants(root, "p") if root is not None else ():
        yield text_of(paragraph)


def _new_texts(path: Path, package: zipfile.ZipFile, task: Task) -> Iterator[str]:
    """Each text once: what a document and its styles repeat is said the first time."""
    told: set[str] = set()
    for name, content in _archives(package, task):
        try:
            found = [text for kind, body in messages(unpacked(content)) for text in _said(kind, body)]
        except (NotPacked, IndexError) as exc:
            raise Unreadable(f"{path.name} is damaged: its part {name} cannot be unpacked.") from exc
        for text in found:
            if text not in told:
                told.add(text)
                yield text


def _archives(package: zipfile.ZipFile, task: Task) -> Iterator[tuple[str, bytes]]:
    """Documents and slides before what belongs to them; on a Mac the archives may lie in a ZIP of their own."""
    names = package.namelist()
    inner = next((name for name in names if name.endswith("Index.zip")), None)
    if inner is not None:
        with zipfile.ZipFile(io.BytesIO(package.read(inner))) as index:
            if sum(entry.file_size for entry in index.infolist()) <= task.limits.unpacked_bytes:
                yield from _archives(index, task)
        return
    for name in sorted(
        names, key=lambda name: ("Document.iwa" not in name, "MasterSlide" in name or "Template" in name)
    ):
        if name.endswith(".iwa") and not name.rpartition("/")[2].startswith(("DocumentStylesheet", "ThemeStylesheet")):
            yield name, package.read(name)


def _said(kind: int, body: bytes) -> Iterator[str]:
    if kind in STORAGE:
        for text in strings(body, (3,)):
            yield from (
                line.strip() for line in text.replace("\u2028", "\n").split("\n") if line.strip("\ufffc\u2029 \t")
            )
    elif kind in LIST_OF_CELLS:
        yield from strings(body, (3, 3))
