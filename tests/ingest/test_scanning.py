"""What differs between disk and index: found by content, settled without reading where that is possible."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from indexes.collection import Collection
from indexes.library import Library
from ingest.errors import FolderMissing
from ingest.rules import Rules
from ingest.scanning import Changes, Scanner
from ingest.walk import walk
from models.cancellation import Cancelled, CancelToken

RECIPE = "recipe/1"


@dataclass
class Disk:
    """A folder and its documents; `look` settles, `read_all` notes every file as read, without reading."""

    folder: Path
    collection: Collection

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def look(self, recipe: str = RECIPE, cancel: CancelToken | None = None, paths: tuple[str, ...] = ()) -> Changes:
        """At the whole folder, or at some paths of it."""
        row = self.collection.documents.add_folder(self.folder, hidden=False)
        scanner = Scanner(self.collection.documents, lambda known: known == recipe)
        if paths:
            return scanner.look(row, Rules(), paths, cancel or CancelToken())
        return scanner.scan(row, Rules(), cancel or CancelToken())

    @property
    def queued(self) -> list[str]:
        """Paths in the order in which they would be read."""
        rows = [row for row in self.collection.documents.all() if row.queued]
        return [row.path for row in sorted(rows, key=lambda row: row.size_bytes)]

    def read_all(self) -> None:
        self.look()
        files = {file.path: file for file in walk(self.folder)}
        for row in self.collection.documents.all():
            if row.queued is None:
                continue
            file = files[row.path]
            digest = hashlib.sha256(file.absolute.read_bytes()).hexdigest()
            content = self.collection.contents.find(digest, RECIPE)
            content_id = content.id if content else self.collection.contents.begin(digest, RECIPE)
            self.collection.contents.finish(content_id, title=None, pages_total=1, omissions=[])
            self.collection.documents.publish(
                row.id,
                size_bytes=file.size_bytes,
                mtime_ns=file.mtime_ns,
                sha256=digest,
                recipe=RECIPE,
                content_id=content_id,
                state="indexed",
                reason=None,
            )

    @property
    def ids(self) -> dict[str, int]:
        return {row.path: row.id for row in self.collection.documents.all()}


@pytest.fixture
def disk(tmp_path: Path, library: Library) -> Disk:
    (tmp_path / "folder").mkdir()
    return Disk(tmp_path / "folder", library.ensure("default", embedder="none", dimension=2))


def counts(changes: Changes) -> tuple[int, int, int, int, int]:
    return changes.queued, changes.found, changes.unchanged, changes.moved, changes.removed


def test_new_files_are_to_be_read_the_smaller_first(disk: Disk) -> None:
    disk.write("a.txt", "longer text")
    disk.write("sub/b.txt", "short")
    assert counts(disk.look()) == (2, 2, 0, 0, 0)
    assert disk.queued == ["sub/b.txt", "a.txt"]
    assert {row.state for row in disk.collection.documents.all()} == {"pending"}


def test_a_file_that_was_not_read_yet_is_still_to_be_read(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.look()
    assert counts(disk.look()) == (1, 1, 0, 0, 0)


def test_an_unchanged_folder_needs_nothing(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.read_all()
    assert counts(disk.look()) == (0, 1, 1, 0, 0)


def test_a_changed_file_and_a_touched_one_are_looked_into(disk: Disk) -> None:
    disk.write("changed.txt", "text one")
    disk.write("touched.txt", "text")
    disk.read_all()
    disk.write("changed.txt", "text two!")
    os.utime(disk.folder / "touched.txt", (1, 1))
    assert counts(disk.look()) == (2, 2, 0, 0, 0)
    assert disk.queued == ["touched.txt", "changed.txt"]


def test_another_recipe_means_reading_again(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.read_all()
    assert counts(disk.look(recipe="recipe/2")) == (1, 1, 0, 0, 0)


def test_a_deleted_file_is_gone_at_once(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.read_all()
    (disk.folder / "a.txt").unlink()
    assert counts(disk.look()) == (0, 0, 0, 0, 1)
    assert disk.ids == {}


def test_a_renamed_folder_keeps_its_documents_and_copies_stay_apart(disk: Disk) -> None:
    for path in ("old/a.txt", "old/copy of a.txt", "old/b.txt"):
        disk.write(path, "the same" if "a.txt" in path else "another")
    disk.read_all()
    before = disk.ids
    (disk.folder / "old").rename(disk.folder / "new")
    assert counts(disk.look()) == (0, 3, 3, 3, 0)
    assert sorted(disk.ids) == ["new/a.txt", "new/b.txt", "new/copy of a.txt"]
    assert sorted(disk.ids.values()) == sorted(before.values())


def test_a_copy_is_a_document_of_its_own(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.read_all()
    shutil.copy2(disk.folder / "a.txt", disk.folder / "b.txt")
    assert counts(disk.look()) == (1, 2, 1, 0, 0)
    assert disk.queued == ["b.txt"]


def test_files_below_a_folder_that_cannot_be_listed_stay_as_they_are(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.write("sub/a.txt", "text")
    disk.write("b.txt", "text of b")
    disk.read_all()
    found = [file for file in walk(disk.folder) if file.path == "b.txt"]
    closed = replace(found[0], path="sub", size_bytes=0, mtime_ns=0, reason="this folder cannot be listed (denied)")
    with monkeypatch.context() as patch:  # root may list everything
        patch.setattr("ingest.scanning.walk", lambda *_, **__: [*found, closed])
        assert counts(disk.look()) == (0, 2, 1, 0, 0)
    states = {row.path: (row.state, row.reason) for row in disk.collection.documents.all()}
    assert states["sub/a.txt"] == ("indexed", None)
    assert states["sub"] == ("skipped", "this folder cannot be listed (denied)")
    assert counts(disk.look()) == (0, 2, 2, 0, 1)
    assert sorted(disk.ids) == ["b.txt", "sub/a.txt"]


def test_a_look_at_some_paths_leaves_the_others_alone(disk: Disk) -> None:
    for path in ("a.txt", "b.txt", "sub/c.txt", "sub/d.txt", "sub.txt"):
        disk.write(path, f"text of {path}")
    disk.read_all()
    disk.write("a.txt", "another text")
    disk.write("b.txt", "another text, too")
    shutil.rmtree(disk.folder / "sub")
    assert counts(disk.look(paths=("a.txt", "sub", "sub/c.txt"))) == (1, 1, 0, 0, 2)
    assert sorted(disk.ids) == ["a.txt", "b.txt", "sub.txt"]
    assert disk.queued == ["a.txt"]


def test_a_renamed_folder_of_which_both_names_are_told_keeps_its_documents(disk: Disk) -> None:
    disk.write("old/a.txt", "the same")
    disk.read_all()
    before = disk.ids["old/a.txt"]
    (disk.folder / "old").rename(disk.folder / "new")
    assert counts(disk.look(paths=("new", "old"))) == (0, 1, 1, 1, 0)
    assert disk.ids == {"new/a.txt": before}


def test_an_empty_folder_in_place_of_the_one_that_was_read_changes_nothing(disk: Disk) -> None:
    """So a mount point looks when its disk is away."""
    disk.write("a.txt", "text")
    disk.read_all()
    disk.folder.rename(disk.folder.with_name("disk"))
    disk.folder.mkdir()
    with pytest.raises(FolderMissing, match="is its disk mounted"):
        disk.look()
    with pytest.raises(FolderMissing, match="is its disk mounted"):
        disk.look(paths=("a.txt",))
    assert sorted(disk.ids) == ["a.txt"]


def test_the_last_file_of_a_folder_can_be_deleted(disk: Disk) -> None:
    file = disk.folder / "a.txt"
    disk.write("a.txt", "text")
    disk.read_all()
    file.unlink()
    assert counts(disk.look()) == (0, 0, 0, 0, 1)


def test_files_that_a_rule_leaves_out_are_counted_and_leave_the_index(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.write("b.txt", "text of b")
    disk.read_all()
    disk.write(".lecternignore", "b.txt\n")
    row = disk.collection.documents.add_folder(disk.folder, hidden=False)
    scanner = Scanner(disk.collection.documents, lambda known: known == RECIPE)
    changes = scanner.scan(row, Rules(["b.txt"]), CancelToken())
    assert (changes.left_out, changes.removed, sorted(disk.ids)) == (1, 1, ["a.txt"])


def test_what_was_passed_over_is_read_once_it_can_be(disk: Disk) -> None:
    disk.write("target.txt", "text")
    (disk.folder / "link.txt").symlink_to("/etc/hostname")
    disk.look()
    assert disk.queued == ["target.txt"]
    (disk.folder / "link.txt").unlink()
    disk.write("link.txt", "a plain file now")
    disk.look()
    assert "link.txt" in disk.queued


def test_a_look_can_be_cancelled(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.read_all()
    (disk.folder / "a.txt").rename(disk.folder / "b.txt")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        disk.look(cancel=cancel)
