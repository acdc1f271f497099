"""All that a collection says, without the numbers of its rows, so that two collections can be compared; and what must
not be in a database."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from indexes.collection import Collection
from indexes.database import Database
from indexes.library import Library

Picture = dict[str, object]
WORDS = ("alpha", "bravo", "nine", "row", "page", "heading")
MOST = 10_000
LIVE = "SELECT version.content_id FROM document JOIN version ON version.id = document.version_id"
CITED = "SELECT content_id FROM citation"
ORPHANS = {
    "contents that no document shows": f"content WHERE id NOT IN ({LIVE}) AND id NOT IN ({CITED})",
    "contents half built": "content WHERE state = 'building'",
    "chunks that no document shows": f"chunk WHERE content_id NOT IN ({LIVE})",
    "pages that nothing shows": f"page WHERE content_id NOT IN ({LIVE}) AND content_id NOT IN ({CITED})",
    "elements of discarded contents": "element JOIN page ON page.id = page_id JOIN content ON content.id = content_id"
    " WHERE state = 'archived'",
    "vectors that no document shows": f"vector JOIN chunk ON chunk.id = chunk_id WHERE content_id NOT IN ({LIVE})",
    "counts of vectors that no document shows": f"embedding WHERE content_id NOT IN ({LIVE})",
    "files that wait to be read": "read_job",
    "contents that wait to be embedded": "embed_job",
    "documents that are pending": "document WHERE state = 'pending'",
    "versions of no document": "version WHERE document_id NOT IN (SELECT id FROM document)",
}
COUNTED = {
    "document": "document",
    "content": f"content WHERE id IN ({LIVE})",
    "page": f"page WHERE content_id IN ({LIVE})",
    "element": f"element JOIN page ON page.id = page_id WHERE content_id IN ({LIVE})",
    "chunk": "chunk",
    "vector": "vector",
    "embedding": "embedding",
}


def picture_of(home: Path, collection_name: str) -> Picture:
    """Opened beside whoever owns it, as after a restart: from the files alone, and nothing is written."""
    library = Library(Database(home / "lectern.sqlite"), home / "indexes")
    try:
        collection = library.collection(collection_name)
        ids = chunk_ids(collection)
        return {
            "documents": _documents(collection),
            "lexical rows": collection.lexical.indexed_chunks() == ids,
            "dense rows": set(collection.dense.ids().tolist()) == ids,
            "vectors": _vectors(collection),
            "terms": _terms(library.database, f"chunk_lexical_{collection.id}"),
            "names": _terms(library.database, f"document_lexical_{collection.id}"),
            "hits": {word: _hits(collection, word) for word in WORDS},
            "nearest": _nearest(collection),
            "rows": {what: _count(library.database, rows) for what, rows in COUNTED.items()},
        }
    finally:
        library.database.close()


def faults_of(home: Path, *, settled: bool) -> list[str]:
    """What must never be found in a database, or, with `settled`, after a mirror that went to its end."""
    database = Database(home / "lectern.sqlite")
    try:
        with database.read() as connection:
            faults = [str(tuple(row)) for row in connection.execute("PRAGMA foreign_key_check")]
            faults += [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        shown = f"content WHERE id IN ({LIVE}) AND state <> 'ready'"
        wanted = {"documents that show half a content": shown, **(ORPHANS if settled else {})}
        return faults + [f"{found} {what}" for what, rows in wanted.items() if (found := _count(database, rows))]
    finally:
        database.close()


def chunk_ids(collection: Collection) -> set[int]:
    """The chunks of all documents."""
    rows = [row.id for row in collection.documents.all()]
    return {i for ids in collection.chunks_of_documents(rows).values() for i in ids}


def _documents(collection: Collection) -> dict[str, object]:
    pictures: dict[str, object] = {}
    for row in collection.documents.all():
        ids = collection.chunks_of_documents([row.id])[row.id]
        chunks = collection.chunks(ids)
        pages = collection.contents.pages(row.content_id) if row.content_id else []
        ordinals = {page.id: n for n, page in enumerate(pages)}
        pictures[row.path] = {
            "state": (row.state, row.reason, row.size_bytes, row.mtime_ns, row.sha256, row.recipe),
            "counts": (row.pages_indexed, row.pages_total, row.chunks, row.characters),
            "pages": [(page.number, page.part, page.text, page.lines) for page in pages],
            "elements": collection.contents.elements(row.content_id) if row.content_id else [],
            "chunks": [
                (chunks[i].heading, chunks[i].text, [(ordinals[page], *place) for page, *place in chunks[i].spans])
                for i in ids
            ],
        }
    return pictures


def _vectors(collection: Collection) -> dict[tuple[str, int], bytes]:
    found: dict[tuple[str, int], bytes] = {}
    for row in collection.documents.all():
        ids = collection.chunks_of_documents([row.id])[row.id]
        known, vectors = collection.vectors.of_chunks(ids)
        data = dict(zip(known.tolist(), vectors.astype("<f2"), strict=True))
        found.update({(row.path, n): data[i].tobytes() for n, i in enumerate(ids)})
    return found


def _hits(collection: Collection, word: str) -> Counter[tuple[float, str]]:
    """Every hit with its score, which depends on the whole index."""
    found = collection.lexical.search_chunks([word], MOST)
    chunks = collection.chunks([i for i, _ in found])
    return Counter((round(score, 6), chunks[i].text) for i, score in found)


def _nearest(collection: Collection) -> Counter[tuple[float, str]]:
    """Every chunk with its cosine to some vector."""
    import numpy as np

    query = np.full(collection.vectors.dimension, collection.vectors.dimension**-0.5, dtype=np.float32)
    found, cosines = collection.dense.search(query, MOST)
    chunks = collection.chunks(found.tolist())
    return Counter(
        (round(cosine, 4), chunks[i].text) for i, cosine in zip(found.tolist(), cosines.tolist(), strict=True)
    )


def _terms(database: Database, table: str) -> dict[str, tuple[int, int]]:
    """Each term of a lexical index, in how many rows, how often: an entry that was taken out wrongly shows here."""
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute(f"CREATE VIRTUAL TABLE temp.terms USING fts5vocab('main', '{table}', 'row')")
        return {
            term: (rows, times) for term, rows, times in connection.execute("SELECT term, doc, cnt FROM temp.terms")
        }


def _count(database: Database, rows: str) -> int:
    with database.read() as connection:
        return int(connection.execute(f"SELECT count(*) FROM {rows}").fetchone()[0])
