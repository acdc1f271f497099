from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexes.collection import Collection
from indexes.dense_cache import DenseCache
from indexes.errors import StorageError

ROOT = Path(__file__).resolve().parents[2]


def folder(collection: Collection) -> Path:
    return collection.database.path.parent / "cache" / str(collection.id)


def reopened(collection: Collection, embedder: str = "toy") -> DenseCache:
    """The cache as the next start of the program finds it."""
    cache = DenseCache(folder(collection), collection.vectors, embedder)
    cache.refresh()
    return cache


@pytest.fixture
def saved(filler) -> Collection:
    """A collection of three chunks with its cache file."""
    filler.publish("a.txt", "one", "two", "three")
    filler.embed()
    filler.collection.dense.save()
    return filler.collection


def test_search_follows_the_database(filler, vector) -> None:
    dense = filler.collection.dense
    assert dense.search(vector("one"), 5)[0].tolist() == []
    filler.publish("a.txt", "one")
    assert dense.search(vector("one"), 5)[0].tolist() == [], "no vector yet"
    filler.embed()
    assert dense.search(vector("one"), 5)[0].tolist() == filler.chunk_ids("a.txt")
    assert dense.similarities(vector("one"), np.array(filler.chunk_ids("a.txt"))) == pytest.approx([1], abs=1e-2)
    filler.remove("a.txt")
    assert dense.search(vector("one"), 5)[0].tolist() == []


def test_vectors_that_follow_their_document_are_all_taken_in(filler) -> None:
    filler.publish("a.txt", "one", "two", "three")
    filler.collection.dense.refresh()
    filler.embed()
    assert filler.collection.dense.ids().tolist() == filler.chunk_ids("a.txt")


def test_an_empty_index_is_opened_once(collection: Collection) -> None:
    collection.dense.refresh()
    collection.dense.origin = "opened before"
    collection.dense.refresh()
    assert collection.dense.origin == "opened before"


def test_a_saved_file_is_used_and_only_what_came_later_is_read(saved: Collection, filler) -> None:
    cache = reopened(saved)
    assert cache.origin == "read from its cache file"
    assert cache.ids().tolist() == saved.dense.ids().tolist()
    filler.publish("b.txt", "four")
    filler.embed()
    filler.remove("a.txt")
    assert reopened(saved).ids().tolist() == filler.chunk_ids("b.txt")


def test_saving_again_replaces_the_file_and_trims_the_log(saved: Collection, filler) -> None:
    before = {file.name for file in folder(saved).iterdir()}
    saved.dense.save()
    assert {file.name for file in folder(saved).iterdir()} == before, "nothing has changed"
    filler.remove("a.txt")
    saved.dense.save()
    after = {file.name for file in folder(saved).iterdir()}
    assert len(after) == 2
    assert after != before
    with saved.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM index_change").fetchone()[0] == 0
    assert reopened(saved).origin == "read from its cache file"


def test_a_missing_cache_is_rebuilt(saved: Collection) -> None:
    (folder(saved) / "dense.json").unlink()
    cache = reopened(saved)
    assert cache.origin.startswith("rebuilt from the database")
    assert cache.ids().tolist() == saved.dense.ids().tolist()


@pytest.mark.parametrize("manifest", ["", "[]", "null", "{}", '{"embedder": "toy", "dimension": 8}'])
def test_a_damaged_manifest_means_a_rebuild(saved: Collection, manifest: str) -> None:
    (folder(saved) / "dense.json").write_text(manifest)
    assert reopened(saved).ids().tolist() == saved.dense.ids().tolist()


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_index_file_means_a_rebuild(saved: Collection, content: bytes | None) -> None:
    [file] = folder(saved).glob("*.faiss")
    file.write_bytes(file.read_bytes()[:-9] if content is None else content)
    cache = reopened(saved)
    assert cache.origin.startswith("rebuilt")
    assert cache.ids().tolist() == saved.dense.ids().tolist()


@pytest.mark.parametrize(
    "change", [{"embedder": "another"}, {"dimension": 9}, {"vectors": 2}, {"generation": 10**9}, {"generation": "x"}]
)
def test_a_cache_of_something_else_is_not_used(saved: Collection, change: dict[str, object]) -> None:
    manifest = folder(saved) / "dense.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    cache = reopened(saved)
    assert cache.origin.startswith("rebuilt")
    assert cache.ids().tolist() == saved.dense.ids().tolist()


def test_a_cache_older_than_the_trimmed_log_is_rebuilt(saved: Collection, filler) -> None:
    old = {file.name: file.read_bytes() for file in folder(saved).iterdir()}
    filler.publish("a.txt", "other")
    filler.embed()
    saved.dense.save()
    for name, content in old.items():
        (folder(saved) / name).write_bytes(content)
    cache = reopened(saved)
    assert cache.origin == "rebuilt from the database (the log of changes does not reach back to it)"
    assert cache.ids().tolist() == filler.chunk_ids("a.txt")


def test_an_index_in_memory_that_the_log_was_trimmed_under_is_rebuilt(saved: Collection, filler) -> None:
    behind = reopened(saved)
    filler.publish("a.txt", "other")
    filler.embed()
    saved.dense.save()
    assert behind.ids().tolist() == filler.chunk_ids("a.txt")


def test_a_stop_between_the_two_files_leaves_the_older_pair_in_force(
    saved: Collection,
    filler,
) -> None:
    filler.publish("b.txt", "four")
    filler.embed()
    in_the_way = folder(saved) / "dense.json.partial"
    in_the_way.mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        saved.dense.save()
    assert len(list(folder(saved).glob("*.faiss"))) == 2, "the new index file stands, the new manifest does not"
    cache = reopened(saved)
    assert cache.origin == "read from its cache file"
    assert cache.ids().tolist() == filler.chunk_ids("a.txt", "b.txt")
    in_the_way.rmdir()
    cache.save()
    assert len(list(folder(saved).iterdir())) == 2


def test_a_cache_that_cannot_be_written_says_so_and_search_goes_on(filler, tmp_path: Path) -> None:
    filler.publish("a.txt", "one")
    filler.embed()
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot be written"):
        filler.collection.dense.save()
    assert filler.collection.dense.ids().tolist() == filler.chunk_ids("a.txt")


def test_more_changes_than_are_read_at_once_are_followed_to_the_end(filler) -> None:
    filler.publish("a.txt", "one")
    filler.collection.dense.refresh()
    with filler.collection.database.write() as connection:
        for _ in range(2500):
            filler.collection.vectors.log_added(connection, filler.row("a.txt").content_id)
    filler.embed()
    assert filler.collection.dense.ids().tolist() == filler.chunk_ids("a.txt")


def test_writes_of_another_process_are_seen(saved: Collection) -> None:
    program = """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from indexes.database import Database
        from indexes.library import Library
        library = Library(Database(Path(sys.argv[1])), Path(sys.argv[1]).parent / "cache")
        collection = library.collection("papers")
        collection.documents.remove([row.id for row in collection.documents.all()])
        collection.contents.collect_garbage()
        folder = collection.documents.folders()[0]
        collection.documents.add_pending(folder.id, [("new.txt", 1, 1)])
        content_id = collection.contents.begin("sha", "recipe")
        from indexes.records import ChunkRecord, PageRecord
        pages = collection.contents.add_pages(content_id, 0, [PageRecord(1, None, "new", (), (), None, None)])
        collection.contents.add_chunks(content_id, 0, [ChunkRecord("", "new", 1, ((0, 0, 3),))], pages)
        collection.contents.finish(content_id, title=None, pages_total=1, omissions=[])
        collection.lexical.add_content(content_id)
        collection.documents.publish(collection.documents.all()[0].id, size_bytes=1, mtime_ns=1, sha256="sha",
            recipe="recipe", content_id=content_id, state="indexed", reason=None)
        waiting = collection.vectors.unembedded(9, 1)
        collection.vectors.put(waiting, np.eye(8, dtype=np.float32)[: len(waiting)])
    """
    old = saved.dense.ids().tolist()
    subprocess.run([sys.executable, "-c", program, saved.database.path], cwd=ROOT, check=True)
    [new] = saved.dense.ids().tolist()
    assert new not in old
    assert saved.chunks([new])[new].file == "new.txt"
    assert [i for i, _ in saved.lexical.search_chunks(["new"], 5)] == [new]
