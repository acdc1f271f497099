from __future__ import annotations

import numpy as np
import pytest

from indexes.records import ChunkRecord
from indexes.vectors import Unembedded, embedded_text


def texts(waiting: list[Unembedded]) -> list[str]:
    return [chunk.text for chunk in waiting]


def test_chunks_of_live_documents_wait_for_their_vectors_in_order(filler, vector) -> None:
    filler.publish("a.txt", "one", "two", "three")
    filler.content(["not published"])
    table = filler.collection.vectors
    first = table.unembedded(2, 1)
    assert texts(first) == ["one", "two"]
    table.put(first[:1], np.array([vector("one")]))
    assert texts(table.unembedded(9, 1)) == ["two", "three"]
    assert table.counts() == (1, 3)
    filler.embed()
    assert table.unembedded(9, 1) == []
    assert table.counts() == (3, 3)


def test_a_vector_is_put_once_and_kept(filler, vector) -> None:
    filler.publish("a.txt", "one", "two")
    waiting = filler.collection.vectors.unembedded(9, 1)
    for _ in range(2):
        filler.collection.vectors.put(waiting[:1], np.array([vector("one")]))
    assert filler.collection.vectors.counts() == (1, 2)
    ids, vectors = filler.collection.vectors.of_chunks([chunk.chunk_id for chunk in waiting])
    assert ids.tolist() == [waiting[0].chunk_id]
    assert vectors[0] == pytest.approx(vector("one"), abs=1e-3)
    assert vectors.dtype == np.float32


def test_vectors_of_one_batch_may_belong_to_several_contents(filler, vector) -> None:
    filler.publish("a.txt", "one", "two")
    filler.publish("b.txt", "three")
    waiting = filler.collection.vectors.unembedded(9, 1)[::-1]
    filler.collection.vectors.put(waiting, np.array([vector(chunk.text) for chunk in waiting]))
    for chunk in waiting:
        found, cosines = filler.collection.dense.search(vector(chunk.text), 1)
        assert found.tolist() == [chunk.chunk_id]
        assert cosines[0] == pytest.approx(1, abs=1e-2)


def test_a_chunk_that_was_discarded_while_it_was_embedded_is_left_out(filler, vector) -> None:
    filler.publish("a.txt", "one")
    filler.publish("b.txt", "two")
    waiting = filler.collection.vectors.unembedded(9, 1)
    filler.remove("a.txt")
    filler.tidy()
    filler.collection.vectors.put(waiting, np.array([vector(chunk.text) for chunk in waiting]))
    assert filler.collection.dense.ids().tolist() == filler.chunk_ids("b.txt")
    assert filler.collection.vectors.counts() == (1, 1)


def test_a_vector_that_comes_after_its_document_was_removed_is_kept_for_its_return(filler, vector) -> None:
    filler.publish("a.txt", "one")
    waiting = filler.collection.vectors.unembedded(9, 1)
    filler.remove("a.txt")
    filler.collection.vectors.put(waiting, np.array([vector("one")]))
    assert filler.collection.dense.ids().tolist() == []
    filler.publish("b.txt", "one")
    assert filler.collection.vectors.unembedded(9, 1) == []
    assert filler.collection.dense.ids().tolist() == filler.chunk_ids("b.txt")


def test_changes_say_what_comes_out_in_the_end(filler) -> None:
    table = filler.collection.vectors
    filler.publish("a.txt", "one")
    filler.publish("b.txt", "two")
    filler.embed()
    a, b = filler.chunk_ids("a.txt", "b.txt")
    start = table.generation()
    filler.remove("a.txt")
    filler.publish("a.txt", "one")  # and back
    filler.remove("b.txt")
    filler.publish("c.txt", "three")
    filler.embed()
    [c] = filler.chunk_ids("c.txt")
    filler.remove("c.txt")
    changes = table.changes_after(start)
    assert changes is not None
    assert (sorted(changes.removed.tolist()), changes.ids.tolist()) == ([a, b, c], [a])
    assert changes.generation == table.generation() > start
    latest = table.changes_after(changes.generation)
    assert latest is not None
    assert (len(latest.removed), len(latest.ids), latest.generation) == (0, 0, changes.generation)


def test_chunks_with_gaps_between_are_removed_run_by_run(filler) -> None:
    contents = filler.collection.contents
    content_id = filler.begin("sha", ["one"])
    filler.publish("between.txt", "between")
    page_ids = [page.id for page in contents.pages(content_id)]
    contents.add_chunks(content_id, 1, [ChunkRecord("", "more", 1, ((0, 0, 1),))], page_ids)
    contents.finish(content_id, title=None, pages_total=1, omissions=[])
    row = filler.pending("a.txt")
    filler.collection.documents.publish(
        row.id,
        size_bytes=1,
        mtime_ns=1,
        sha256="sha",
        recipe="r",
        content_id=content_id,
        state="indexed",
        reason=None,
    )
    filler.embed()
    assert len(filler.collection.dense.ids()) == 3
    filler.remove("a.txt")
    assert filler.collection.dense.ids().tolist() == filler.chunk_ids("between.txt")


def test_a_log_that_was_trimmed_or_is_not_so_far_says_that_it_cannot_tell(filler) -> None:
    table = filler.collection.vectors
    filler.publish("a.txt", "one")
    filler.embed()
    generation = table.generation()
    table.trim_changes(generation)
    assert table.generation() == generation
    assert table.changes_after(generation - 1) is None
    assert table.changes_after(generation + 1) is None
    assert table.changes_after(generation) is not None
    filler.publish("b.txt", "two")
    assert table.generation() > generation


@pytest.mark.parametrize(
    ("title", "heading", "expected"),
    [
        ("Guide", "Setup › Disk", "Guide › Setup › Disk\ntext"),
        ("Guide", "Guide › Setup", "Guide › Setup\ntext"),
        ("Guide", "Guide", "Guide\ntext"),
        ("Guide", "Guidelines", "Guide › Guidelines\ntext"),
        ("Guide", "", "Guide\ntext"),
        (None, "Setup", "Setup\ntext"),
        (None, "", "text"),
    ],
)
def test_what_is_embedded_begins_with_title_and_headings(title: str | None, heading: str, expected: str) -> None:
    assert embedded_text(title, heading, "text") == expected
