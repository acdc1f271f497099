from __future__ import annotations

import time

import pytest

from indexes.collection import Collection
from indexes.database import Database
from indexes.library import Library
from indexes.records import ChunkRecord, PageRecord

_TABLES = ("content", "page", "element", "chunk", "vector", "embedding")


def rows(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in (*_TABLES, "chunk_lexical_1_docsize")
        }


def cite(database: Database, content_id: int) -> int:
    """Store a citation of the content's first page, as `rag` does; returns the page's id."""
    with database.write() as connection:
        (page_id,) = connection.execute("SELECT min(id) FROM page WHERE content_id = ?", (content_id,)).fetchone()
        connection.execute(
            """INSERT OR IGNORE INTO turn (id, user_id, collection_id, created_at, question, answer)
               VALUES ('t', 1, 1, ?, '', '{}')""",
            (time.time(),),
        )
        connection.execute(
            """INSERT INTO citation (id, turn_id, n, document_id, file, version, content_id, page_id, chunk_id, start,
                   "end", quote, verified) VALUES (?, 't', 1, 1, 'a', 1, ?, ?, 1, 0, 1, 'x', 1)""",
            (f"c{content_id}", content_id, page_id),
        )
    return int(page_id)


def forget_citations(database: Database) -> None:
    with database.write() as connection:
        connection.execute("DELETE FROM turn")


def nothing(**but: int) -> dict[str, int]:
    return {**dict.fromkeys((*_TABLES, "chunk_lexical_1_docsize"), 0), **but}


def test_a_content_is_built_in_batches_and_found_when_ready(collection: Collection) -> None:
    contents = collection.contents
    content_id = contents.begin("sha", "recipe")
    found = contents.find("sha", "recipe")
    assert found is not None
    assert found.state == "building"
    elements = (("heading", 0, 5, 1, 0), ("paragraph", 6, 12, 0, 0))
    lines = ((0, 5, 1.5, 2.5, 3.5, 4.5), (6, 12, 1.0, 2.0, 3.0, 4.0))
    first = contents.add_pages(content_id, 0, [PageRecord(1, None, "Title\nälso 😀", elements, lines, 595.0, 842.0)])
    more = contents.add_pages(content_id, 1, [PageRecord(2, "annex", " \n\t", (), (), None, None)])
    chunk_ids = contents.add_chunks(
        content_id, 0, [ChunkRecord("Title", "älso", 3, ((0, 6, 12), (1, 0, 1)))], first + more
    )
    contents.finish(content_id, title="Title", pages_total=3, omissions=[("page 3", "no text")])

    found = contents.find("sha", "recipe")
    assert found is not None
    assert found.state == "ready"
    page = contents.page(first[0])
    assert page is not None
    assert (page.text, page.lines, page.width) == ("Title\nälso 😀", lines, 595.0)
    assert [page.part for page in contents.pages(content_id)] == [None, "annex"]
    assert [(e.kind, e.text, e.page) for e in contents.elements(content_id)] == [
        ("heading", "Title", 1),
        ("paragraph", "älso 😀", 1),
    ]
    assert contents.omissions(content_id) == [("page 3", "no text")]
    assert len(chunk_ids) == 1


def test_totals_count_pages_with_text_only(filler_class, collection: Collection) -> None:
    row = filler_class(collection).publish("a.txt", "some text", " \n\u00a0\t", "more")
    assert (row.pages_indexed, row.pages_total, row.chunks, row.characters) == (2, 3, 3, 17)


def test_a_page_with_very_many_elements_is_stored_and_discarded_whole(collection: Collection) -> None:
    text = "x " * 12_000
    elements = tuple(("paragraph", 2 * i, 2 * i + 1, 0, 0) for i in range(12_000))
    content_id = collection.contents.begin("sha", "recipe")
    collection.contents.add_pages(content_id, 0, [PageRecord(1, None, text, elements, (), None, None)])
    assert len(collection.contents.elements(content_id)) == 12_000
    collection.contents.discard(content_id)
    assert collection.contents.elements(content_id) == []


def test_what_a_killed_build_left_is_discarded_by_the_next_one(filler, collection: Collection) -> None:
    killed = filler.begin("sha", ["one", "two"])
    again = filler.begin("sha", ["one", "two"])
    assert again != killed
    assert rows(collection.database) == nothing(content=1, page=2, element=2, chunk=2, chunk_lexical_1_docsize=2)


def test_discard_leaves_nothing_behind(filler, collection: Collection) -> None:
    content_id = filler.publish("a.txt", *[f"text {i}" for i in range(450)]).content_id
    filler.embed()
    filler.remove("a.txt")
    collection.contents.discard(content_id)
    assert rows(collection.database) == nothing()
    collection.contents.discard(content_id)  # and again does no harm


def test_a_content_that_a_document_shows_is_not_discarded(filler, collection: Collection) -> None:
    row = filler.publish("a.txt", "kept")
    before = rows(collection.database)
    collection.contents.discard(row.content_id)
    collection.contents.collect_garbage()
    assert (
        rows(collection.database) == before == nothing(content=1, page=1, element=1, chunk=1, chunk_lexical_1_docsize=1)
    )


def test_cited_pages_stay_readable_until_the_citation_goes(filler, collection: Collection) -> None:
    content_id = filler.publish("a.txt", "cited", "beside it").content_id
    page_id = cite(collection.database, content_id)
    filler.remove("a.txt")
    collection.contents.collect_garbage()
    assert rows(collection.database) == nothing(content=1, page=2)
    page = collection.contents.page(page_id)
    assert page is not None
    assert page.text == "cited"
    collection.contents.collect_garbage()

    forget_citations(collection.database)
    collection.contents.collect_garbage()
    assert rows(collection.database) == nothing()


def test_the_same_bytes_come_back_as_a_new_content_beside_the_archived_one(filler, collection: Collection) -> None:
    old = filler.publish("a.txt", "the same").content_id
    page_id = cite(collection.database, old)
    filler.remove("a.txt")
    filler.tidy()
    new = filler.publish("a.txt", "the same").content_id
    assert new != old
    assert collection.contents.page(page_id) is not None
    assert collection.lexical.search_chunks(["same"], 5) != []
    filler.remove("a.txt")
    cite(collection.database, new)
    filler.tidy()  # archived twice
    assert rows(collection.database) == nothing(content=2, page=2)


def test_a_discard_that_was_killed_is_never_found_again_and_is_finished_by_the_next(
    filler,
    collection: Collection,
) -> None:
    row = filler.publish("a.txt", *[f"text {i}" for i in range(450)])
    cite(collection.database, row.content_id)
    filler.remove("a.txt")
    killer = _Killer(collection.database, after=2)
    with pytest.raises(KeyboardInterrupt):
        type(collection.contents)(killer).discard(row.content_id)
    assert 0 < rows(collection.database)["chunk"] < 450

    again = filler.publish("a.txt", *[f"text {i}" for i in range(450)])
    assert again.content_id != row.content_id
    assert len(filler.chunk_ids("a.txt")) == 450
    filler.tidy()
    assert rows(collection.database)["chunk"] == 450
    assert rows(collection.database)["page"] == 900  # those of the cited version stay


class _Killer:
    """A database whose process dies at the beginning of a transaction."""

    def __init__(self, database: Database, after: int) -> None:
        self._database = database
        self._left = after
        self.read = database.read

    def write(self):
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        return self._database.write()


def test_a_citation_made_while_its_content_is_discarded_keeps_the_pages(filler, collection: Collection) -> None:
    content_id = filler.publish("a.txt", *[f"text {i}" for i in range(3)]).content_id
    filler.remove("a.txt")
    with pytest.raises(KeyboardInterrupt):
        type(collection.contents)(_Killer(collection.database, after=3)).discard(content_id)
    page_id = cite(collection.database, content_id)
    filler.tidy()
    assert collection.contents.page(page_id) is not None
    assert rows(collection.database) == nothing(content=1, page=3)


def test_garbage_of_one_collection_is_gone_from_the_words_of_all(library: Library, filler, filler_class) -> None:
    other = filler_class(library.ensure("other", embedder="toy", dimension=8))
    filler.publish("a.txt", "shared words")
    other.publish("b.txt", "shared words")
    filler.remove("a.txt")
    other.remove("b.txt")
    filler.tidy()
    assert filler.collection.lexical.chunk_count() == other.collection.lexical.chunk_count() == 0
