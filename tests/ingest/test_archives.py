"""Archives: every member is read by its own reader, and none can do harm, whatever the archive says of itself."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.elements import Omission, Page, Summary
from ingest.errors import Encrypted, IngestError, LimitReached, Unreadable
from ingest.formats import detect
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.readers.registry import reader_named
from ingest.task import Task
from models.cancellation import CancelToken

SENTENCE = "The lease ends on 31 March."


def items_of(path: Path, task: Task | None = None) -> tuple[list[Page], Summary]:
    found = list(reader_named(detect(path).reader).read(path, task or Task()))
    summary = found[-1]
    assert isinstance(summary, Summary)
    return [item for item in found if isinstance(item, Page)], summary


def parts_of(path: Path, task: Task | None = None) -> dict[str | None, str]:
    return {page.part: page.text for page in items_of(path, task)[0]}


def reasons(path: Path, task: Task | None = None) -> dict[str, str]:
    return {omission.what: omission.reason for omission in items_of(path, task)[1].omissions}


def zipped(members: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zstandard_packed(content: bytes) -> bytes:
    from backports import zstd

    return bytes(zstd.compress(content))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard_packed,
}


def seven_zip(path: Path, members: dict[str, str], password: str | None = None) -> Path:
    import py7zr

    with py7zr.SevenZipFile(path, "w", password=password) as archive:
        for name, text in members.items():
            archive.writestr(text, name)
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def written(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return written


Write = Callable[[str, bytes], Path]


def test_the_part_of_a_page_is_the_path_through_all_archives(write: Write) -> None:
    inner = zipped({"north/lease.md": f"# Lease\n\n{SENTENCE}"})
    path = write("outer.zip", zipped({"2024/inner.zip": inner, "note.txt": "A note."}))
    assert parts_of(path) == {"2024/inner.zip/north/lease.md": f"Lease\n\n{SENTENCE}", "note.txt": "A note."}


def test_a_sheet_of_a_workbook_in_an_archive_is_the_last_step_of_its_path(write: Write) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = "January"
    book.active.append(["Region", "Sales"])
    book.active.append(["North", 12])
    buffer = io.BytesIO()
    book.save(buffer)
    assert list(parts_of(write("books.zip", zipped({"sales.xlsx": buffer.getvalue()})))) == ["sales.xlsx/January"]


@pytest.mark.parametrize("kind", ["", *PACKERS])
def test_tar_archives_are_read_however_they_are_compressed(write: Write, kind: str) -> None:
    content = tarred({"a/lease.txt": SENTENCE.encode(), "b.txt": b"Second."})
    path = write(f"x.tar.{kind}" if kind else "x.tar", PACKERS[kind](content) if kind else content)
    assert parts_of(path) == {"a/lease.txt": SENTENCE, "b.txt": "Second."}


@pytest.mark.parametrize("kind", PACKERS)
def test_a_single_compressed_file_is_read_under_its_own_name(write: Write, kind: str) -> None:
    path = write(f"notes.csv.{kind}", PACKERS[kind](b"name,sum\nNorth,12\nSouth,13\n"))
    pages = items_of(path)[0]
    assert [(page.part, page.elements[0].kind) for page in pages] == [("notes.csv", "table")]


def test_a_seven_zip_archive_is_read(tmp_path: Path) -> None:
    path = seven_zip(tmp_path / "x.7z", {"a/lease.txt": SENTENCE, "b.txt": "Second."})
    assert parts_of(path) == {"a/lease.txt": SENTENCE, "b.txt": "Second."}


def test_a_rar_archive_is_read_or_says_which_library_is_missing(shared: Path) -> None:
    path = shared / "format-zoo" / "archive" / "test-documents.rar"
    try:
        import libarchive  # noqa: F401
    except (ImportError, OSError, AttributeError, TypeError):
        with pytest.raises(IngestError, match="libarchive13"):
            items_of(path)
    else:
        assert "Sample Excel Worksheet" in parts_of(path)["test-documents/testEXCEL.xls/Feuil1"]


def test_locked_members_are_named_and_the_others_are_read(shared: Path) -> None:
    path = shared / "format-zoo" / "encrypted" / "testZipEncrypted.zip"
    assert list(parts_of(path)) == ["unencrypted.txt"]
    assert "password" in reasons(path)["encrypted.txt"]


def test_an_archive_that_is_locked_as_a_whole_is_encrypted(tmp_path: Path) -> None:
    with pytest.raises(Encrypted, match="password"):
        items_of(seven_zip(tmp_path / "x.7z", {"a.txt": SENTENCE}, password="secret"))


def test_members_that_cannot_be_read_are_named_with_the_reason(write: Write) -> None:
    path = write("x.zip", zipped({"a.txt": SENTENCE, "b.docx": b"PK\x03\x04 half", "c.mp3": b"ID3\x03" + bytes(99)}))
    assert list(parts_of(path)) == ["a.txt"]
    said = reasons(path)
    assert set(said) == {"b.docx", "c.mp3"}
    assert "speech model" in said["c.mp3"]


def test_an_archive_without_anything_readable_says_why(write: Write) -> None:
    with pytest.raises(IngestError, match=r"Nothing in x.zip could be read\. a\.mp3: .*speech"):
        items_of(write("x.zip", zipped({"a.mp3": b"ID3\x03" + bytes(99)})))


def test_hidden_entries_are_counted_not_read(write: Write) -> None:
    path = write("x.zip", zipped({"a.txt": SENTENCE, ".secret/b.txt": "x", "c/.d.txt": "x"}))
    assert list(parts_of(path)) == ["a.txt"]
    assert items_of(path)[1].omissions[0].what == "2 hidden entries"


def test_what_systems_leave_in_archives_is_no_omission(write: Write) -> None:
    junk = ("__MACOSX/._a.txt", "__MACOSX/b.txt", ".DS_Store", "b/.DS_Store", "b/._a.txt", "Thumbs.db", "b/Desktop.ini")
    path = write("x.zip", zipped({"a.txt": SENTENCE, **dict.fromkeys(junk, "x")}))
    assert list(parts_of(path)) == ["a.txt"]
    assert items_of(path)[1].omissions == ()
    with pytest.raises(IngestError, match="holds no file with text"):
        items_of(write("y.zip", zipped(dict.fromkeys(junk, "x"))))


def test_names_in_the_encoding_of_another_country_are_readable(write: Write) -> None:
    name = "审计报告/自动巡检需求文档.txt"
    content = zipped({"X" * len(name.encode("gb18030")): SENTENCE})
    path = write("x.zip", content.replace(b"X" * len(name.encode("gb18030")), name.encode("gb18030")))
    assert list(parts_of(path)) == [name]


# Hostile archives.


@pytest.mark.parametrize(
    "name", ["../../escaped.txt", "/tmp/escaped.txt", "..\\..\\escaped.txt", "a/../../escaped.txt"]
)
def test_names_that_lead_out_of_the_archive_lead_nowhere(
    write: Write, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    for path in (write("x.zip", zipped({name: SENTENCE})), write("x.tar", tarred({name: SENTENCE.encode()}))):
        (part,) = parts_of(path)
        assert part is not None
        assert part.endswith("escaped.txt")
        assert ".." not in part
    assert not list(tmp_path.rglob("escaped.txt"))
    assert not Path("/tmp/escaped.txt").exists()
    assert not list(scratch.iterdir())


def test_links_are_not_followed(write: Write) -> None:
    buffer = io.BytesIO(tarred({"a.txt": SENTENCE.encode()}))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        link = tarfile.TarInfo("passwords")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    path = write("x.tar", buffer.getvalue())
    assert list(parts_of(path)) == ["a.txt"]
    assert "link" in reasons(path)["passwords"]


def test_an_archive_in_itself_without_end_stops_at_the_limit_of_nesting(shared: Path) -> None:
    task = Task(Limits(nesting=3))
    path = shared / "format-zoo" / "archive" / "droste.zip"
    try:
        said = "".join(omission.reason for omission in items_of(path, task)[1].omissions)
    except IngestError as exc:
        said = str(exc)
    assert "deeper than 3 files inside of each other" in said


def zeros(count: int) -> bytes:
    return zipped({f"{number}.txt": bytes(1 << 20) for number in range(count)})


def test_a_bomb_is_told_by_what_it_unpacks_to(write: Write) -> None:
    content = zipped({"a.txt": SENTENCE, **{f"{number}.txt": b" " * (1 << 20) for number in range(100)}})
    path = write("x.zip", content)
    pages, summary = items_of(path, Task(Limits(unpacked_ratio=100)))
    assert pages[0].text == SENTENCE
    assert "looks like a bomb" in summary.omissions[-1].reason


def test_an_archive_of_archives_has_one_limit_for_all_of_them(write: Write) -> None:
    inner = zipped({f"{number}.txt": b"word " * 200_000 for number in range(8)})
    path = write("x.zip", zipped({"a.txt": SENTENCE, **{f"{number}.zip": inner for number in range(50)}}))
    task = Task(Limits(unpacked_bytes=20 << 20))
    pages, summary = items_of(path, task)
    assert pages[0].text == SENTENCE
    assert any("larger than 20,971,520 bytes" in omission.reason for omission in summary.omissions)
    assert task.unpacked.bytes < 22 << 20


def overlapping(count: int) -> bytes:
    """Entries that all point to the same packed bytes: small on the disk, large when unpacked one after the other."""
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    plain = b"word " * 400_000
    data = packed.compress(plain) + packed.flush()
    sizes = struct.pack("<III", zlib.crc32(plain), len(data), len(plain))
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + sizes + struct.pack("<HH", 5, 0)
    central = b"".join(
        b"PK\x01\x02"
        + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0)
        + sizes
        + struct.pack("<HHHHHII", 5, 0, 0, 0, 0, 0, 0)
        + b"a.txt"
        for _ in range(count)
    )
    body = local + b"a.txt" + data
    return body + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(central), len(body), 0)


def test_entries_that_share_their_bytes_are_counted_each_time(write: Write) -> None:
    task = Task(Limits(unpacked_bytes=8 << 20))
    said = [omission.reason for omission in items_of(write("x.zip", overlapping(500)), task)[1].omissions]
    assert any("larger than 8,388,608 bytes" in reason for reason in said)
    assert task.unpacked.entries < 8


def test_a_size_that_is_a_lie_does_not_help(write: Write) -> None:
    content = bytearray(zipped({"a.txt": b"word " * 1_000_000, "b.txt": SENTENCE}))
    at = content.index(b"PK\x01\x02") + 24
    struct.pack_into("<I", content, at, 10)
    path = write("x.zip", bytes(content))
    parts = parts_of(path, Task(Limits(unpacked_bytes=1 << 20)))
    assert SENTENCE in parts.values()
    assert sum(map(len, parts.values())) < 1 << 20


def test_too_many_entries_end_the_reading_with_a_reason(write: Write) -> None:
    path = write("x.zip", zipped({f"{number:04}.txt": f"Number {number}." for number in range(60)}))
    pages, summary = items_of(path, Task(Limits(entries=50)))
    assert len(pages) == 50
    assert summary.omissions[-1] == Omission(
        "0050.txt", "there are more than 50 entries, the limit; nothing after it was read"
    )


def test_an_endless_list_of_names_is_refused_before_it_is_loaded(write: Write) -> None:
    path = write("x.zip", overlapping(2000))
    with pytest.raises(LimitReached, match="lists its entries in"):
        items_of(path, Task(Limits(entries=100)))


@pytest.mark.parametrize("kind", PACKERS)
def test_one_compressed_bomb_stops_at_the_limit(write: Write, kind: str) -> None:
    path = write(f"x.txt.{kind}", PACKERS[kind](bytes(40 << 20)))
    with pytest.raises(LimitReached, match="limit"):
        items_of(path, Task(Limits(unpacked_bytes=16 << 20)))


def test_a_seven_zip_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    path = seven_zip(tmp_path / "x.7z", {f"{number}.txt": " " * (8 << 20) for number in range(4)})
    with pytest.raises(LimitReached, match="limit"):
        items_of(path, Task(Limits(unpacked_bytes=16 << 20)))


def test_a_truncated_tar_keeps_what_came_before_the_damage(write: Write) -> None:
    content = gzip.compress(tarred({"a.txt": SENTENCE.encode(), "b.txt": bytes(range(256)) * 4000}), compresslevel=0)
    path = write("x.tgz", content[: len(content) // 2])
    assert parts_of(path) == {"a.txt": SENTENCE}
    assert any("damaged" in reason or "Compressed file ended" in reason for reason in reasons(path).values())


def test_a_damaged_zip_says_so(write: Write) -> None:
    with pytest.raises(Unreadable, match="damaged"):
        items_of(write("x.zip", zipped({"a.txt": SENTENCE})[:-20]))


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    pool = ParserPool(1, Limits(unpacked_bytes=64 << 20, silence_s=60))
    yield pool
    pool.close()


def test_in_a_parser_process_bombs_end_as_reasons_and_the_next_file_is_read(pool: ParserPool, write: Write) -> None:
    bombs = [
        write("deep.zip", zipped({"a.zip": zipped({"b.zip": zeros(100)})})),
        write("x.gz", gzip.compress(bytes(99 << 20))),
    ]
    for bomb in bombs:
        with pytest.raises(IngestError, match=r"limit|bomb"):
            list(pool.parse(bomb, detect(bomb), CancelToken()))
    fine = write("fine.zip", zipped({"a.txt": SENTENCE}))
    assert [item.text for item in pool.parse(fine, detect(fine), CancelToken()) if isinstance(item, Page)] == [SENTENCE]
