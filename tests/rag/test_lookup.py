"""“Why can't I find this?”, asked of files in every situation."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexes.database import Database
from indexes.library import Library
from indexes.read_queue import SCANNED, ReadQueue
from ingest.events import FolderState, FollowState
from rag.errors import BadInput, NotFound
from rag.lookup import FileReport, look_up, report_json
from tests.rag.mirrored import DIMENSION, Mirrored


@pytest.fixture
def mirrored(tmp_path: Path) -> Iterator[Mirrored]:
    database = Database(tmp_path / "lectern.sqlite")
    collection = Library(database, tmp_path / "cache").ensure("papers", embedder="toy", dimension=DIMENSION)
    yield Mirrored(collection, tmp_path / "folder", rules=("drafts/",))
    database.close()


def ask(mirrored: Mirrored, path: str, *, followed: bool = False, absolute: str | None = None) -> FileReport:
    folder = str(mirrored.folder)
    states = {folder: FolderState("papers", folder, "watching")} if followed else {}
    return look_up(mirrored.collection, path, states, time.time(), absolute)


def why(mirrored: Mirrored, path: str, **given: bool) -> str:
    return " ".join(ask(mirrored, path, **given).why)


def test_a_file_that_is_fine_says_so_with_words_to_try(mirrored: Mirrored) -> None:
    mirrored.read("a.txt", "The lamp is lit before sunset by the keeper.")
    mirrored.embed()
    report = ask(mirrored, "a.txt")
    assert report.findable
    assert report.why == (
        "1 passage of it is searched. Try words that stand in it, such as: “The lamp is lit before sunset”.",
    )


def test_a_file_without_its_vectors_is_found_by_its_words(mirrored: Mirrored) -> None:
    mirrored.read("a.txt", "one", "two")
    report = ask(mirrored, "a.txt")
    assert report.findable
    assert "0 of 2 passages have their vectors" in report.why[0]


def test_what_was_left_out_and_which_pages_are_missing_is_said(mirrored: Mirrored) -> None:
    mirrored.read("a.pdf", "one", "two", omissions=(("pages 3–4", "no text, and OCR is off"),), total=4)
    report = ask(mirrored, "a.pdf")
    assert "Not read: pages 3–4: no text, and OCR is off." in report.why
    assert "2 of 4 pages have text that can be found; without text: 3–4." in report.why
    assert report.omissions == (("pages 3–4", "no text, and OCR is off"),)


@pytest.mark.parametrize(("state", "remedy"), [("failed", "Mend or replace"), ("quarantined", "queue retry bad.pdf")])
def test_a_file_that_was_not_read_says_why_and_what_to_do(mirrored: Mirrored, state: str, remedy: str) -> None:
    mirrored.reject("bad.pdf", state, "it is damaged.")  # type: ignore[arg-type]  # one of the states
    report = ask(mirrored, "bad.pdf")
    assert not report.findable
    assert "it is damaged" in report.why[0]
    assert remedy in report.why[1]


def test_a_file_that_waits_says_so_and_for_whom(mirrored: Mirrored) -> None:
    row = mirrored.read("a.txt", "one")
    mirrored.collection.documents.enqueue([row.id], SCANNED)
    assert "A newer version waits" in why(mirrored, "a.txt")
    assert "Until then version 1 is found." in why(mirrored, "a.txt")
    assert "Nobody follows its folder now" in why(mirrored, "a.txt")
    assert "Nobody follows" not in why(mirrored, "a.txt", followed=True)
    mirrored.collection.pause(True)
    assert "queue resume" in why(mirrored, "a.txt", followed=True)


def test_a_file_that_has_changed_since_or_is_gone_is_said(mirrored: Mirrored) -> None:
    mirrored.read("a.txt", "one")
    mirrored.write("a.txt", "quite another text")
    assert "not the version that was read" in why(mirrored, "a.txt")
    (mirrored.folder / "a.txt").unlink()
    assert "no longer on the disk" in why(mirrored, "a.txt")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("new.txt", "has not been seen yet"),
        ("drafts/a.txt", "Left out by the rule 'drafts/', which was given with the folder"),
        ("old/notes.bak", "Left out by the rule '*.bak', which stands in"),
        ("a.part", "Left out by the rule '*.part', which is built in"),
        ("node_modules/x.md", "'node_modules/', which is built in"),
        (".secret.txt", "begins with a dot"),
        (".dir/a.txt", "begins with a dot"),
    ],
)
def test_a_file_that_the_index_does_not_know_says_why(mirrored: Mirrored, path: str, said: str) -> None:
    mirrored.write(".lecternignore", "*.bak\n")
    mirrored.write(path)
    for spelling in (path, str(mirrored.folder / path)):
        report = ask(mirrored, spelling)
        assert (report.state, report.findable) == ("unknown", False)
        assert said in report.why[0]


def test_links_are_not_followed_and_that_is_said(mirrored: Mirrored, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").write_text("far away")
    os.symlink(tmp_path / "elsewhere", mirrored.folder / "linked")
    os.symlink(tmp_path / "elsewhere" / "a.txt", mirrored.folder / "link.txt")
    assert "a link to a folder" in why(mirrored, "linked/a.txt")
    assert "leads out of the folder" in why(mirrored, "link.txt")


def test_a_file_outside_of_every_folder_says_which_folders_there_are(mirrored: Mirrored, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").write_text("x")
    for path in (str(tmp_path / "elsewhere" / "a.txt"), "../elsewhere/a.txt"):
        said = why(mirrored, path)
        assert str(mirrored.folder) in said
        assert f"ingest {tmp_path / 'elsewhere'}`" in said


def test_a_folder_is_only_proposed_where_it_could_be_taken(mirrored: Mirrored, tmp_path: Path) -> None:
    (tmp_path / "above.txt").write_text("x")
    for path in (str(tmp_path / "above.txt"), "/etc/passwd"):
        said = why(mirrored, path)
        assert "lies in no folder" in said
        assert "python app.py ingest" not in said
    assert "a folder of the collection, not a file" in why(mirrored, str(mirrored.folder))
    with pytest.raises(BadInput, match="No file is named"):
        ask(mirrored, "")


def test_two_files_of_one_path_are_both_named(mirrored: Mirrored, tmp_path: Path) -> None:
    other = Mirrored(mirrored.collection, tmp_path / "other")
    mirrored.read("a.txt", "one")
    other.pending("a.txt")
    said = ask(mirrored, "a.txt").why[0]
    assert str(mirrored.folder / "a.txt") in said
    assert str(other.folder / "a.txt") in said


def test_a_name_that_is_not_utf8_is_found_as_it_is_typed_and_as_it_is_shown(mirrored: Mirrored) -> None:
    raw = os.fsdecode(b"caf\xe9.txt")
    (mirrored.folder / raw).write_text("x")
    for path in (raw, "caf\\xe9.txt"):
        assert "its name is not UTF-8: rename it" in why(mirrored, path)
    mirrored.collection.documents.add_pending(mirrored.row.id, [("caf\\xe9.txt", 0, 0)])
    row = mirrored.of("caf\\xe9.txt")
    mirrored.collection.documents.reject(
        row.id, size_bytes=0, mtime_ns=0, sha256=None, recipe=None, state="skipped", reason="its name is not UTF-8"
    )
    for path in (raw, str(mirrored.folder / raw), "caf\\xe9.txt"):
        assert ask(mirrored, path).why == ("Skipped: its name is not UTF-8.",)
        json.dumps(report_json(ask(mirrored, path)), ensure_ascii=False).encode()


def test_a_folder_that_is_not_there_is_said_and_nothing_is_called_gone(mirrored: Mirrored, tmp_path: Path) -> None:
    mirrored.read("a.txt", "one")
    mirrored.folder.rename(tmp_path / "unplugged")
    assert "is not there now" in ask(mirrored, "a.txt").why[0]
    mirrored.folder.mkdir()  # the mount point that stays behind
    mirrored.collection.documents.mark_scanned(mirrored.row.id, device="0:0")
    assert "not the one that was read" in ask(mirrored, "a.txt").why[0]
    assert "no longer on the disk" not in why(mirrored, "a.txt")


def test_a_file_that_failed_and_is_tried_again_does_not_say_both_at_once(mirrored: Mirrored) -> None:
    row = mirrored.reject("bad.pdf", "failed", "it is damaged")
    mirrored.collection.documents.enqueue([row.id], SCANNED)
    assert ReadQueue(mirrored.collection.database, "run").claim([mirrored.row.id]) is not None
    said = ask(mirrored, "bad.pdf").why
    assert said[:2] == ("It is being read.", "The last time it was not read: it is damaged.")
    stopped = look_up(mirrored.collection, "bad.pdf", {}, time.time(), working=False)
    assert stopped.why[0].startswith("It is waiting")
    assert "Nobody follows its folder now" in stopped.why[1]


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("it unpacks to 9 bytes; 5 are allowed", "split into smaller files"),
        ("More than 5 pages in one file", "split into smaller files"),
        ("time limit: 600 s of processor time", "split into smaller files"),
        ("it is damaged", "Mend or replace"),
    ],
)
def test_what_is_too_large_is_to_be_split_and_not_mended(mirrored: Mirrored, reason: str, remedy: str) -> None:
    mirrored.reject("bad.pdf", "failed", reason)
    assert remedy in ask(mirrored, "bad.pdf").why[1]


@pytest.mark.parametrize(
    ("state", "said"), [("starting", "being looked through now"), ("missing", "cannot be looked at now")]
)
def test_a_new_file_in_a_folder_that_is_begun_or_at_fault_does_not_say_that_nobody_follows_it(
    mirrored: Mirrored, state: FollowState, said: str
) -> None:
    mirrored.write("new.txt")
    folder = str(mirrored.folder)
    report = look_up(mirrored.collection, "new.txt", {folder: FolderState("papers", folder, state)}, time.time())
    assert said in report.why[0]


def test_a_path_is_also_understood_from_where_the_asker_stands(mirrored: Mirrored) -> None:
    mirrored.read("sub/a.txt", "one")
    assert ask(mirrored, "./a.txt", absolute=str(mirrored.folder / "sub" / "a.txt")).path == "sub/a.txt"


def test_what_is_neither_known_nor_on_the_disk_is_not_found(mirrored: Mirrored) -> None:
    with pytest.raises(NotFound, match=r"nothing\.txt"):
        ask(mirrored, "nothing.txt")


def test_the_json_keeps_the_contract(mirrored: Mirrored) -> None:
    mirrored.read("a.txt", "one", omissions=(("page 2", "no text"),), total=2)
    document = json.loads(json.dumps(report_json(ask(mirrored, "a.txt"))))
    assert document.keys() >= {
        "path",
        "state",
        "reason",
        "version",
        "elements",
        "findable",
        "why",
        "pages",
        "omissions",
    }
    (element,) = document["elements"]
    assert element == {"kind": "paragraph", "text": "one", "page": 1, "part": None, "confidence": None}
    assert document["omissions"] == [{"what": "page 2", "reason": "no text"}]
