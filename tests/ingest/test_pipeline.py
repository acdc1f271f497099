"""The mirror: in step with the folder after every run, whatever happened to the folder or to the run before."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ingest.chunking import Chunker
from ingest.content_builder import ContentBuilder
from ingest.errors import FolderMissing, NotNow
from ingest.events import FileDone, IngestEvent
from ingest.pipeline import Pipeline
from ingest.reading import FileReader, Recipes
from ingest.task import OcrOptions
from ingest.walk import Found, walk
from models.cancellation import Cancelled, CancelToken
from models.interfaces import Embedder

LENS = "A broken lens is paid for by the Harbour Board."
LAMP = "The lamp is lit half an hour before sunset."


def test_a_folder_becomes_searchable_by_words_and_by_meaning(mirrored, embedder: Embedder) -> None:
    mirrored.write("lens.txt", LENS)
    mirrored.write("guides/lamp.md", f"# The lamp\n\n{LAMP}")
    counts = mirrored.mirror()
    assert counts == {"found": 2, "unchanged": 0, "read": 2, "moved": 0, "removed": 0, "left_out": 0, "embedded": 2}
    assert mirrored.states == {"lens.txt": ("indexed", None), "guides/lamp.md": ("indexed", None)}
    assert [i for i, _ in mirrored.collection.lexical.search_chunks(["harbour"], 5)] == mirrored.chunk_ids("lens.txt")
    near, _ = mirrored.collection.dense.search(embedder.embed_queries(["When is the light switched on?"])[0], 1)
    assert near.tolist() == mirrored.chunk_ids("guides/lamp.md")
    mirrored.require_whole()


def test_a_second_mirror_finds_nothing_to_do(mirrored) -> None:
    mirrored.write("lens.txt", LENS)
    mirrored.mirror()
    assert mirrored.mirror() == {
        "found": 1,
        "unchanged": 1,
        "read": 0,
        "moved": 0,
        "removed": 0,
        "left_out": 0,
        "embedded": 0,
    }
    assert mirrored.embedded == []


def test_identical_files_are_embedded_once_and_both_are_there(mirrored) -> None:
    for name in ("a.txt", "b.txt", "c.txt", "sub/d.txt"):
        mirrored.write(name, LENS)
    assert mirrored.mirror()["embedded"] == 1
    assert len({mirrored.chunk_ids(name)[0] for name in ("a.txt", "b.txt", "c.txt", "sub/d.txt")}) == 1
    (mirrored.folder / "a.txt").unlink()
    mirrored.mirror()
    assert mirrored.texts() == {LENS}


def test_a_changed_file_replaces_its_version(mirrored) -> None:
    mirrored.write("a.txt", LENS)
    mirrored.mirror()
    mirrored.write("a.txt", LAMP)
    assert mirrored.mirror()["read"] == 1
    assert mirrored.texts() == {LAMP}
    assert [row.version for row in mirrored.collection.documents.all()] == [2]
    mirrored.require_whole()


def test_a_touched_file_is_not_read_again(mirrored) -> None:
    file = mirrored.write("a.txt", LENS)
    mirrored.mirror()
    os.utime(file, (1, 1))
    assert mirrored.mirror()["embedded"] == 0
    assert [row.version for row in mirrored.collection.documents.all()] == [1]
    assert mirrored.mirror()["unchanged"] == 1


def test_a_renamed_file_keeps_its_chunks_and_is_found_by_its_new_name(mirrored) -> None:
    file = mirrored.write("manual.txt", LENS)
    mirrored.mirror()
    before = mirrored.chunk_ids("manual.txt")
    file.rename(mirrored.folder / "insurance.txt")
    counts = mirrored.mirror()
    assert (counts["moved"], counts["read"], counts["embedded"]) == (1, 0, 0)
    assert mirrored.chunk_ids("insurance.txt") == before
    assert mirrored.collection.lexical.search_documents(["manual"], 5) == []
    assert len(mirrored.collection.lexical.search_documents(["insurance"], 5)) == 1


def test_a_deleted_file_leaves_nothing_behind(mirrored) -> None:
    file = mirrored.write("a.txt", LENS)
    mirrored.write("b.txt", LAMP)
    mirrored.mirror()
    file.unlink()
    assert mirrored.mirror()["removed"] == 1
    assert mirrored.texts() == {LAMP}
    with mirrored.library.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM chunk").fetchone()[0] == 1
    mirrored.require_whole()


def test_a_file_that_cannot_be_read_has_a_reason_and_the_others_go_on(mirrored) -> None:
    mirrored.write("good.txt", LENS)
    mirrored.write("empty.txt", "")
    (mirrored.folder / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing of a PDF follows")
    (mirrored.folder / "unknown.xyz").write_bytes(bytes(range(256)) * 4)
    mirrored.mirror()
    states = mirrored.states
    assert states["good.txt"] == ("indexed", None)
    for name, expected in {"empty.txt": "failed", "broken.pdf": "failed", "unknown.xyz": "skipped"}.items():
        state, reason = states[name]
        assert state == expected
        assert reason
    assert mirrored.mirror()["unchanged"] == 4
    mirrored.require_whole()


def test_a_name_that_is_no_text_is_passed_over_and_the_others_go_on(mirrored) -> None:
    mirrored.write("good.txt", LENS)
    odd = os.fsencode(mirrored.folder)
    os.mkdir(odd + b"/\xff folder")
    with open(odd + b"/\xfe.txt", "w") as file:
        file.write(LAMP)
    mirrored.mirror()
    assert mirrored.states["good.txt"] == ("indexed", None)
    assert mirrored.states["\\xfe.txt"] == ("skipped", "its name is not UTF-8: rename it")
    assert mirrored.states["\\xff folder"][0] == "skipped"
    assert mirrored.mirror()["read"] == 0


def test_a_file_that_becomes_unreadable_is_no_longer_searched(mirrored) -> None:
    mirrored.write("a.txt", LENS)
    mirrored.mirror()
    mirrored.write("a.txt", "")
    mirrored.mirror()
    assert mirrored.states["a.txt"][0] == "failed"
    assert mirrored.texts() == set()


def test_a_mirror_that_is_stopped_in_the_middle_goes_on_with_the_next(mirrored) -> None:
    for i in range(12):
        mirrored.write(f"{i:02}.txt", f"{LENS} Number {i}.")
    cancel = CancelToken()
    seen = threading.Semaphore(0)

    def stop_after_three(event: IngestEvent) -> None:
        if isinstance(event, FileDone):
            seen.release()
        if seen._value == 3:
            cancel.cancel()

    with pytest.raises(Cancelled):
        mirrored.mirror(cancel, stop_after_three)
    pending = [path for path, (state, _) in mirrored.states.items() if state == "pending"]
    assert 0 < len(pending) <= 9
    counts = mirrored.mirror()
    assert counts["read"] == len(pending)
    assert {state for state, _ in mirrored.states.values()} == {"indexed"}
    assert len(mirrored.texts()) == 12
    mirrored.require_whole()


def test_a_missing_folder_changes_nothing(mirrored) -> None:
    mirrored.write("a.txt", LENS)
    mirrored.mirror()
    away = mirrored.folder.rename(mirrored.folder.with_name("unplugged"))
    with pytest.raises(FolderMissing):
        mirrored.mirror()
    assert mirrored.texts() == {LENS}
    away.rename(mirrored.folder)
    assert mirrored.mirror()["unchanged"] == 1


class NarrowEmbedder:
    """The real embedder, said to read less at a time: then files are chunked another way."""

    window_tokens = 120

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def __getattr__(self, name: str) -> object:
        return getattr(self._embedder, name)


def test_another_way_of_chunking_reads_everything_again(mirrored, parsers, embedder: Embedder) -> None:
    mirrored.write("a.txt", LENS)
    mirrored.write("empty.txt", "")
    mirrored.mirror()
    mirrored.pipeline.close()
    mirrored.pipeline = Pipeline(mirrored.library, parsers, NarrowEmbedder(embedder), readers=1)  # type: ignore[arg-type]  # by __getattr__
    assert mirrored.mirror()["read"] == 2
    assert mirrored.texts() == {LENS}
    mirrored.require_whole()


def test_a_file_that_was_written_while_it_was_read_is_read_again_even_if_only_its_time_changed(
    mirrored, parsers, chunker: Chunker
) -> None:
    """`cp -p` writes the bytes first and sets the time last."""
    file = mirrored.write("a.txt", LENS)
    status = file.stat()
    row = mirrored.collection.documents.add_folder(mirrored.folder, hidden=False)
    mirrored.collection.documents.add_pending(row.id, [("a.txt", status.st_size, status.st_mtime_ns - 1)])
    (document,) = mirrored.collection.documents.all()
    builder = ContentBuilder(mirrored.collection.contents, parsers, chunker)
    reader = FileReader(mirrored.collection, row.path, builder, Recipes("test", OcrOptions()))
    early = Found("a.txt", file, status.st_size, status.st_mtime_ns - 1)
    with pytest.raises(NotNow, match="being written"):
        reader.read(document, early, 1, patient=True, on_page=lambda: None, cancel=CancelToken())
    assert mirrored.mirror()["read"] == 1
    assert mirrored.states["a.txt"] == ("indexed", None)


def test_identical_files_that_cannot_be_read_do_not_hold_each_other_up(mirrored) -> None:
    for i in range(8):
        (mirrored.folder / f"{i}.pdf").write_bytes(b"%PDF-1.4\nnot a PDF")
    mirrored.mirror()
    assert {state for state, _ in mirrored.states.values()} == {"failed"}


def test_a_collection_of_real_documents_counts_its_pages(mirrored, shared: Path) -> None:
    source = shared / "eval" / "hr-handbook" / "docs" / "employee_handbook.pdf"
    (mirrored.folder / source.name).write_bytes(source.read_bytes())
    mirrored.mirror()
    (row,) = mirrored.collection.documents.all()
    assert row.pages_indexed == row.pages_total > 5
    assert row.chunks == len(mirrored.chunk_ids(source.name)) > 10
    assert [found.path for found in walk(mirrored.folder)] == [source.name]
    mirrored.require_whole()
