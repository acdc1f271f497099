from __future__ import annotations

from pathlib import Path

import pytest

from indexes.collection import Collection
from indexes.library import Library

# `filler` and `filler_class` are the Filler of conftest.py, which puts documents there as the pipeline does.


def found_by_words(collection: Collection, *terms: str) -> list[int]:
    return [chunk_id for chunk_id, _ in collection.lexical.search_chunks(terms, 100)]


def change(collection: Collection, document_id: int, method: str = "publish", **values: object) -> None:
    fields = {"size_bytes": 2, "mtime_ns": 2, "sha256": "s", "recipe": "r", "reason": None, **values}
    getattr(collection.documents, method)(document_id, **fields)


def test_a_file_is_pending_then_searchable(filler) -> None:
    pending = filler.pending("a.txt")
    assert (pending.state, pending.version, pending.chunks) == ("pending", None, 0)
    row = filler.publish("a.txt", "first words", title="Paper")
    assert (row.id, row.state, row.version, row.chunks) == (pending.id, "indexed", 1, 1)
    [chunk_id] = found_by_words(filler.collection, "words")
    chunk = filler.collection.chunks([chunk_id])[chunk_id]
    assert (chunk.file, chunk.document_id, chunk.version, chunk.title) == ("a.txt", row.id, 1, "Paper")
    assert (chunk.page, chunk.page_end, chunk.text) == (1, 1, "first words")


def test_publishing_flips_to_the_new_version_at_once(filler) -> None:
    filler.publish("a.txt", "old words")
    filler.embed()
    old = filler.chunk_ids("a.txt")
    assert filler.publish("a.txt", "new words").version == 2
    filler.embed()
    new = filler.chunk_ids("a.txt")
    assert found_by_words(filler.collection, "words") == new
    assert filler.collection.dense.ids().tolist() == new
    assert filler.collection.chunks(old + new).keys() == set(new)


def test_an_earlier_content_that_comes_back_is_a_version_of_its_own(filler) -> None:
    versions = [filler.publish("a.txt", text).version for text in ("one", "two", "one", "one")]
    assert versions == [1, 2, 3, 3]
    assert found_by_words(filler.collection, "one") == filler.chunk_ids("a.txt")


def test_a_version_number_is_never_given_twice(filler) -> None:
    row = filler.publish("a.txt", "one")
    change(filler.collection, row.id, "reject", state="failed", reason="broken")
    filler.tidy()
    assert filler.publish("a.txt", "two").version == 2


def test_a_rejected_file_leaves_every_index_and_says_why(filler) -> None:
    row = filler.publish("a.txt", "some words")
    filler.embed()
    chunk_ids = filler.chunk_ids("a.txt")
    change(filler.collection, row.id, "reject", state="failed", reason="it is encrypted")
    row = filler.row("a.txt")
    assert (row.state, row.reason, row.version, row.content_id) == ("failed", "it is encrypted", None, None)
    assert found_by_words(filler.collection, "words") == []
    assert filler.collection.dense.ids().tolist() == []
    assert filler.collection.chunks(chunk_ids) == {}
    assert filler.collection.lexical.search_documents(["a"], 5) == []


def test_a_removed_document_is_gone_everywhere_at_once(filler) -> None:
    filler.publish("a.txt", "some words")
    filler.publish("b.txt", "other words")
    filler.embed()
    gone, kept = filler.chunk_ids("a.txt"), filler.chunk_ids("b.txt")
    filler.remove("a.txt")
    collection = filler.collection
    assert found_by_words(collection, "words") == kept
    assert collection.dense.ids().tolist() == kept
    assert collection.chunks(gone + kept).keys() == set(kept)
    assert collection.lexical.search_documents(["a"], 5) == []
    assert collection.vectors.counts() == (1, 1)


def test_removed_documents_do_not_take_the_places_of_live_ones(filler) -> None:
    for i in range(20):
        filler.publish(f"short-{i}.txt", f"term {i}")
    filler.publish("long.txt", "a far longer text in which the term stands only once among many other words")
    filler.remove(*[f"short-{i}.txt" for i in range(20)])  # and not tidied yet
    assert [i for i, _ in filler.collection.lexical.search_chunks(["term"], 5)] == filler.chunk_ids("long.txt")


def test_identical_content_is_stored_once_and_lives_as_long_as_one_document_shows_it(filler) -> None:
    first, second = filler.publish("a.txt", "the same"), filler.publish("b.txt", "the same")
    filler.embed()
    assert first.content_id == second.content_id
    [chunk_id] = filler.chunk_ids("a.txt")
    assert filler.collection.chunks([chunk_id])[chunk_id].file == "a.txt"
    filler.remove("a.txt")
    filler.tidy()
    assert filler.collection.chunks([chunk_id])[chunk_id].file == "b.txt"
    assert filler.collection.dense.ids().tolist() == found_by_words(filler.collection, "same") == [chunk_id]
    filler.remove("b.txt")
    assert filler.collection.dense.ids().tolist() == found_by_words(filler.collection, "same") == []


def test_identical_content_is_shared_by_two_collections_without_leaking(library: Library, filler, filler_class) -> None:
    other = filler_class(library.ensure("other", embedder="toy", dimension=8), Path("/elsewhere"))
    filler.publish("a.txt", "the same")
    filler.embed()
    row = other.publish("b.txt", "the same")
    [chunk_id] = other.chunk_ids("b.txt")
    assert other.collection.dense.ids().tolist() == [chunk_id], "embedded once, for both"
    assert other.collection.chunks([chunk_id])[chunk_id].file == "b.txt"
    assert filler.collection.chunks([chunk_id])[chunk_id].file == "a.txt"
    filler.remove("a.txt")
    filler.tidy()
    assert filler.collection.chunks([chunk_id]) == {}
    assert filler.collection.dense.ids().tolist() == found_by_words(filler.collection, "same") == []
    assert other.collection.dense.ids().tolist() == found_by_words(other.collection, "same") == [chunk_id]
    assert filler.collection.documents.get(row.id) is None, "a document of another collection"
    assert filler.collection.documents.absolute_path(row.id) is None
    assert filler.collection.chunks_of_documents([row.id]) == {row.id: []}


def test_a_rename_keeps_chunks_and_vectors_and_changes_the_name(filler) -> None:
    row = filler.publish("OldName.txt", "some words")
    filler.embed()
    chunk_ids, generation = filler.chunk_ids("OldName.txt"), filler.collection.vectors.generation()
    filler.collection.documents.move(row.id, onto=filler.pending("sub/NewName.txt").id)
    moved = filler.row("sub/NewName.txt")
    assert (moved.id, moved.version) == (row.id, 1)
    assert filler.chunk_ids("sub/NewName.txt") == chunk_ids == filler.collection.dense.ids().tolist()
    assert filler.collection.vectors.generation() == generation
    assert filler.collection.vectors.unembedded(10, 1) == []
    assert [i for i, _ in filler.collection.lexical.search_documents(["new"], 5)] == [row.id]
    assert filler.collection.lexical.search_documents(["old"], 5) == []
    assert filler.collection.documents.absolute_path(row.id) == Path("/documents/sub/NewName.txt")
    assert len(filler.collection.documents.all()) == 1


def test_a_change_of_a_document_that_was_removed_meanwhile_does_nothing(filler) -> None:
    row = filler.publish("a.txt", "some words")
    content_id = filler.content(["other words"])
    filler.remove("a.txt")
    change(filler.collection, row.id, content_id=content_id, state="indexed")
    change(filler.collection, row.id, "reject", state="failed", reason="late")
    filler.collection.documents.touch(row.id, 1, 1, state="indexed", reason=None)
    assert filler.collection.documents.all() == []
    assert found_by_words(filler.collection, "words") == []


def test_touch_notes_the_new_look_of_the_file(filler) -> None:
    row = filler.publish("a.txt", "some words")
    filler.collection.documents.touch(row.id, 77, 88, state="indexed", reason=None)
    touched = filler.row("a.txt")
    assert (touched.size_bytes, touched.mtime_ns, touched.version) == (77, 88, 1)


def test_a_folder_is_added_once_and_forgotten_with_its_documents(filler, filler_class) -> None:
    documents = filler.collection.documents
    filler.publish("a.txt", "some words")
    filler_class(filler.collection, Path("/second")).publish("b.txt", "more words")
    again = documents.add_folder(Path("/documents"), hidden=True)
    assert (again.id, again.hidden) == (filler.folder.id, True)
    documents.mark_scanned(again.id)
    assert [folder.scanned_at is not None for folder in documents.folders()] == [True, False]
    documents.forget_folder(again.id)
    assert [row.path for row in documents.all()] == ["b.txt"]
    assert len(found_by_words(filler.collection, "words")) == 1


def test_very_many_files_are_noted(filler) -> None:
    filler.collection.documents.add_pending(filler.folder.id, [(f"{i:05}.txt", i, i) for i in range(2500)])
    rows = filler.collection.documents.of_folder(filler.folder.id)
    assert [row.size_bytes for row in rows] == list(range(2500))


@pytest.mark.parametrize("method", ["get", "absolute_path"])
def test_an_unknown_document_is_none(collection: Collection, method: str) -> None:
    assert getattr(collection.documents, method)(99) is None
