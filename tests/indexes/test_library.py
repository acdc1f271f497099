from __future__ import annotations

import threading
from pathlib import Path

import pytest

from indexes.collection import Collection
from indexes.database import Database
from indexes.errors import EmbedderMismatch, UnknownCollection
from indexes.library import Library


def test_a_collection_is_made_once_and_found_by_name(library: Library) -> None:
    made = library.ensure("papers", embedder="toy", dimension=8)
    assert library.ensure("papers", embedder="toy", dimension=8) is made is library.collection("papers")
    library.ensure("letters", embedder="other", dimension=4)
    assert library.names() == ["letters", "papers"]


def test_an_unknown_collection_is_an_error_that_names_those_there_are(library: Library) -> None:
    with pytest.raises(UnknownCollection, match="none yet"):
        library.collection("papers")
    library.ensure("papers", embedder="toy", dimension=8)
    with pytest.raises(UnknownCollection, match=r"'letters' \(there are: papers\)"):
        library.collection("letters")


@pytest.mark.parametrize(("embedder", "dimension"), [("other", 8), ("toy", 9)])
def test_another_embedder_is_refused(library: Library, embedder: str, dimension: int) -> None:
    library.ensure("papers", embedder="toy", dimension=8)
    with pytest.raises(EmbedderMismatch, match="collection remove papers"):
        library.ensure("papers", embedder=embedder, dimension=dimension)


def test_threads_get_the_same_collection(library: Library) -> None:
    found: list[Collection] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(library.ensure("papers", embedder="toy", dimension=8))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(collection is found[0] for collection in found)


def test_a_removed_collection_leaves_nothing(library: Library, filler) -> None:
    filler.publish("a.txt", "some words")
    filler.embed()
    filler.collection.dense.save()
    cache = filler.collection.database.path.parent / "cache" / str(filler.collection.id)
    assert cache.is_dir()
    library.remove("papers")
    assert library.names() == []
    assert not cache.exists()
    library.ensure("next", embedder="toy", dimension=8).contents.collect_garbage()
    with library.database.read() as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '%lexical_1%'")]
        assert tables == []
        for table in ("folder", "document", "version", "content", "page", "chunk", "vector", "index_change"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0, table


def test_contents_that_another_collection_shows_outlive_a_removed_one(library: Library, filler, filler_class) -> None:
    other = filler_class(library.ensure("other", embedder="toy", dimension=8))
    filler.publish("a.txt", "some words")
    filler.embed()
    other.publish("b.txt", "some words")
    library.remove("papers")
    other.tidy()
    assert other.collection.dense.ids().tolist() == other.chunk_ids("b.txt")


def test_a_collection_that_another_process_removed_and_made_anew_is_opened_anew(library: Library) -> None:
    old = library.ensure("papers", embedder="toy", dimension=8)
    elsewhere = Library(Database(library.database.path), library.database.path.parent / "cache")
    elsewhere.remove("papers")
    with pytest.raises(UnknownCollection):
        library.collection("papers")
    elsewhere.ensure("papers", embedder="better", dimension=4)
    elsewhere.close()
    assert library.collection("papers") is not old
    assert library.collection("papers").embedder == "better"


def test_closing_saves_the_caches(library: Library, filler, tmp_path: Path) -> None:
    filler.publish("a.txt", "some words")
    filler.embed()
    chunk_ids = filler.chunk_ids("a.txt")
    library.close()
    again = Library(Database(tmp_path / "lectern.sqlite"), tmp_path / "cache")
    assert again.collection("papers").dense.ids().tolist() == chunk_ids
    assert again.collection("papers").dense.origin == "read from its cache file"
    again.close()
