"""Documents that lie in Office packages are read by the readers of their own formats; the rest is counted."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.elements import Page, Summary
from ingest.formats import detect
from ingest.readers.embedded_documents import unwrapped
from ingest.readers.registry import reader_named
from ingest.task import Task

WORKBOOK = "word/embeddings/Microsoft_Excel_Sheet1.xlsx"


def read(path: Path, task: Task | None = None) -> tuple[list[Page], Summary]:
    *pages, summary = reader_named(detect(path).reader).read(path, task or Task())
    assert isinstance(summary, Summary)
    return [page for page in pages if isinstance(page, Page)], summary


def document(path: Path, text: str, parts: dict[str, bytes]) -> Path:
    import docx

    made = docx.Document()
    made.add_paragraph(text)
    made.save(str(path))
    with zipfile.ZipFile(path, "a") as container:
        for name, content in parts.items():
            container.writestr(name, content)
    return path


def workbook() -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "Tides"
    for row in (("day", "height"), ("Monday", 3), ("Tuesday", 4)):
        book.active.append(row)
    stored = io.BytesIO()
    book.save(stored)
    return stored.getvalue()


def packager(name: bytes, content: bytes, kind: int = 2) -> bytes:
    """What Windows' Packager writes into its stream for a file that was put in by its icon."""
    place = b"C:\\Temp\\" + name + b"\0"
    body = struct.pack("<H", kind) + name + b"\0" + b"C:\\" + name + b"\0" + bytes([0, 0, 3, 0])
    body += struct.pack("<I", len(place)) + place + struct.pack("<I", len(content)) + content
    return struct.pack("<I", len(body)) + body


@pytest.fixture
def object_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, bytes]], bytes]:
    """An OLE object with these streams: nothing here writes such containers, so that olefile is given them."""
    import olefile

    def make(streams: dict[str, bytes]) -> bytes:
        class Container:
            def __init__(self, content: bytes) -> None:
                assert content.startswith(b"\xd0\xcf\x11\xe0")

            def __enter__(self) -> Container:
                return self

            def __exit__(self, *_: object) -> None:
                return None

            def exists(self, name: str) -> bool:
                return name in streams

            def openstream(self, name: str) -> io.BytesIO:
                return io.BytesIO(streams[name])

        monkeypatch.setattr(olefile, "OleFileIO", Container)
        return b"\xd0\xcf\x11\xe0" + bytes(600)

    return make


def test_an_embedded_workbook_follows_the_text_with_its_name_as_part(tmp_path: Path) -> None:
    pages, summary = read(document(tmp_path / "x.docx", "The harbour.", {WORKBOOK: workbook()}))
    assert [(page.part, page.text) for page in pages] == [
        (None, "The harbour."),
        ("Microsoft_Excel_Sheet1.xlsx/Tides", "day | height\nMonday | 3\nTuesday | 4"),
    ]
    assert (summary.pages_total, summary.omissions) == (2, ())


def test_a_document_without_text_of_its_own_is_read_for_what_lies_in_it(tmp_path: Path) -> None:
    pages, summary = read(document(tmp_path / "x.docx", "", {WORKBOOK: workbook()}))
    assert [page.part for page in pages] == ["Microsoft_Excel_Sheet1.xlsx/Tides"]
    assert summary.omissions[0].what == "the document's own text"


def test_the_workbook_behind_a_chart_is_not_read_twice(tmp_path: Path) -> None:
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/package"
    target = "../embeddings/Microsoft_Excel_Sheet1.xlsx"
    relations = f'<Relationships><Relationship Id="r1" Type="{kind}" Target="{target}"/></Relationships>'
    parts = {
        WORKBOOK: workbook(),
        "word/charts/chart1.xml": b"<chart/>",
        "word/charts/_rels/chart1.xml.rels": relations.encode(),
    }
    pages, summary = read(document(tmp_path / "x.docx", "The harbour.", parts))
    assert [page.part for page in pages] == [None]
    assert summary.omissions == ()


def test_what_cannot_be_read_is_said_and_costs_nothing_else(tmp_path: Path) -> None:
    parts = {"word/embeddings/film.mp4": b"\0\0\0\x20ftypisom" + bytes(100), WORKBOOK: workbook()}
    pages, summary = read(document(tmp_path / "x.docx", "The harbour.", parts))
    assert len(pages) == 2
    assert [omission.what for omission in summary.omissions] == ["film.mp4"]


def test_documents_in_documents_end_at_the_limit(tmp_path: Path) -> None:
    inner = document(tmp_path / "inner.docx", "Inside.", {WORKBOOK: workbook()}).read_bytes()
    path = document(tmp_path / "outer.docx", "Outside.", {"word/embeddings/inner.docx": inner})
    task = Task()
    assert [page.part for page in read(path, task)[0]] == [
        None, "inner.docx", "inner.docx/Microsoft_Excel_Sheet1.xlsx/Tides",
    ]  # fmt: skip
    pages, summary = read(path, Task(replace(task.limits, nesting=1)))
    assert [page.part for page in pages] == [None, "inner.docx"]
    assert "files inside of each other" in summary.omissions[0].reason


def test_a_file_that_was_put_in_by_its_icon_keeps_its_name(object_with: Callable[[dict[str, bytes]], bytes]) -> None:
    content = object_with({"\x01Ole10Native": packager(b"tides.txt", b"High at noon.")})
    assert unwrapped("oleObject1.bin", content) == ("tides.txt", b"High at noon.")


@pytest.mark.parametrize("stream", [b"", b"\1\0\0\0\2\0name", packager(b"a.txt", b"x", kind=3), packager(b"a", b"")])
def test_links_and_damaged_packages_hold_no_file(
    object_with: Callable[[dict[str, bytes]], bytes], stream: bytes
) -> None:
    assert unwrapped("oleObject1.bin", object_with({"\x01Ole10Native": stream})) is None


@pytest.mark.parametrize("stream", ["Package", "CONTENTS", "EmbeddedOdf"])
def test_an_object_that_wraps_a_whole_file_gives_it(
    object_with: Callable[[dict[str, bytes]], bytes], stream: str
) -> None:
    assert unwrapped("oleObject1.bin", object_with({stream: b"%PDF-1.7"})) == ("oleObject1", b"%PDF-1.7")


def test_an_old_document_is_its_own_object_and_an_equation_is_none(
    object_with: Callable[[dict[str, bytes]], bytes],
) -> None:
    content = object_with({"Workbook": b""})
    assert unwrapped("oleObject1.bin", content) == ("oleObject1", content)
    assert unwrapped("oleObject1.bin", object_with({"Equation Native": b""})) is None


def test_a_pdf_in_a_word_file_of_the_zoo_is_found(shared: Path) -> None:
    pages, summary = read(shared / "format-zoo" / "docx" / "EmbeddedPDF.docx")
    inside = [page for page in pages if page.part is not None and page.part.startswith("oleObject1")]
    assert inside
    assert all(page.number for page in inside)
    assert summary.pages_total == len(pages)
