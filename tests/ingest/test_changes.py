"""What differs between disk and index: found by content, settled without reading where that is possible."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from indexes.collection import Collection
from indexes.library import Library
from ingest.changes import Changes, settle_changes
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

    def look(self, recipe: str = RECIPE, cancel: CancelToken | None = None) -> Changes:
        row = self.collection.documents.add_folder(self.folder, hidden=False)
        return settle_changes(
            self.collection.documents,
            row.id,
            walk(self.folder),
            is_current=lambda known: known == recipe,
            cancel=cancel or CancelToken(),
        )

    def read_all(self) -> None:
        for row, file in self.look().to_read:
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


def counts(changes: Changes) -> tuple[list[str], int, int, int, int]:
    paths = [row.path for row, _ in changes.to_read]
    return paths, changes.found, changes.unchanged, changes.moved, changes.removed


def test_new_files_are_to_be_read_the_smaller_first(disk: Disk) -> None:
    disk.write("a.txt", "longer text")
    disk.write("sub/b.txt", "short")
    assert counts(disk.look()) == (["sub/b.txt", "a.txt"], 2, 0, 0, 0)
    assert {row.state for row in disk.collection.documents.all()} == {"pending"}


def test_a_file_that_was_not_read_yet_is_still_to_be_read(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.look()
    assert counts(disk.look()) == (["a.txt"], 1, 0, 0, 0)


def test_an_unchanged_folder_needs_nothing(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.read_all()
    assert counts(disk.look()) == ([], 1, 1, 0, 0)


def test_a_changed_file_and_a_touched_one_are_looked_into(disk: Disk) -> None:
    disk.write("changed.txt", "text one")
    disk.write("touched.txt", "text")
    disk.read_all()
    disk.write("changed.txt", "text two!")
    os.utime(disk.folder / "touched.txt", (1, 1))
    assert counts(disk.look()) == (["touched.txt", "changed.txt"], 2, 0, 0, 0)


def test_another_recipe_means_reading_again(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.read_all()
    assert counts(disk.look(recipe="recipe/2"))[0] == ["a.txt"]


def test_a_deleted_file_is_gone_at_once(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.read_all()
    (disk.folder / "a.txt").unlink()
    assert counts(disk.look()) == ([], 0, 0, 0, 1)
    assert disk.ids == {}


def test_a_renamed_folder_keeps_its_documents_and_copies_stay_apart(disk: Disk) -> None:
    for path in ("old/a.txt", "old/copy of a.txt", "old/b.txt"):
        disk.write(path, "the same" if "a.txt" in path else "another")
    disk.read_all()
    before = disk.ids
    (disk.folder / "old").rename(disk.folder / "new")
    assert counts(disk.look()) == ([], 3, 3, 3, 0)
    assert sorted(disk.ids) == ["new/a.txt", "new/b.txt", "new/copy of a.txt"]
    assert sorted(disk.ids.values()) == sorted(before.values())


def test_a_copy_is_a_document_of_its_own(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.read_all()
    shutil.copy2(disk.folder / "a.txt", disk.folder / "b.txt")
    assert counts(disk.look()) == (["b.txt"], 2, 1, 0, 0)


def test_files_below_a_folder_that_cannot_be_listed_stay_as_they_are(disk: Disk) -> None:
    disk.write("sub/a.txt", "text")
    disk.write("b.txt", "text of b")
    disk.read_all()
    found = [file for file in walk(disk.folder) if file.path == "b.txt"]
    row = disk.collection.documents.add_folder(disk.folder, hidden=False)
    closed = type(found[0])("sub", disk.folder / "sub", 0, 0, "this folder cannot be listed (Permission denied)")
    changes = settle_changes(
        disk.collection.documents, row.id, [*found, closed], is_current=lambda _: True, cancel=CancelToken()
    )
    assert counts(changes) == ([], 2, 1, 0, 0)
    states = {row.path: (row.state, row.reason) for row in disk.collection.documents.all()}
    assert states["sub/a.txt"] == ("indexed", None)
    assert states["sub"] == ("skipped", "this folder cannot be listed (Permission denied)")
    assert counts(disk.look()) == ([], 2, 2, 0, 1)
    assert sorted(disk.ids) == ["b.txt", "sub/a.txt"]


def test_what_was_passed_over_is_read_once_it_can_be(disk: Disk) -> None:
    disk.write("target.txt", "text")
    (disk.folder / "link.txt").symlink_to("/etc/hostname")
    changes = disk.look()
    assert [row.path for row, _ in changes.to_read] == ["target.txt"]
    (disk.folder / "link.txt").unlink()
    disk.write("link.txt", "a plain file now")
    assert "link.txt" in [row.path for row, _ in disk.look().to_read]


def test_a_look_can_be_cancelled(disk: Disk) -> None:
    disk.write("a.txt", "text")
    disk.read_all()
    (disk.folder / "a.txt").rename(disk.folder / "b.txt")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        disk.look(cancel=cancel)
