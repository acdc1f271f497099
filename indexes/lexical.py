"""The lexical index: BM25 by SQLite's FTS5, one table a collection, in the same transactions as the truth.

Chunks stand in a contentless table (their text is in `chunk` already); documents stand in a small one of their own,
by the words of their path and title, so that a rename never touches a chunk.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Sequence

from indexes.database import Database
from indexes.live import LIVE_CONTENTS, is_live

_TOKENIZER = "porter unicode61 remove_diacritics 2"
_HEADING_WEIGHT, _TEXT_WEIGHT = 1.0, 1.0
_BATCH = 200  # some 20 ms under the write lock
# Scripts that are written without spaces: each character is a term of its own (Han, kana, Thai, Lao, Khmer, Burmese).
_UNSPACED = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])"
)
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The terms of `text` in order, lower case, not yet stemmed (FTS5 stems). Letters and their accents are composed
    first, since an accent of its own would end the word."""
    return _WORD.findall(_spaced(unicodedata.normalize("NFC", text).lower()))


def path_words(path: str) -> str:
    """The words of a path, also those run together: "docs/AnnualReport_2023.pdf" → "docs Annual Report 2023 pdf"."""
    split = re.sub(
        r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])", " ", unicodedata.normalize("NFC", path)
    )
    return re.sub(r"[\W_]+", " ", split).strip()


class LexicalIndex:
    """BM25 over the chunks and over the document names of one collection."""

    def __init__(self, database: Database, collection_id: int) -> None:
        self._database = database
        self._collection_id = collection_id
        self._chunks = f"chunk_lexical_{collection_id}"
        self._documents = f"document_lexical_{collection_id}"

    def create(self, connection: sqlite3.Connection) -> None:
        connection.execute(
            f"CREATE VIRTUAL TABLE {self._chunks} USING fts5(heading, text, content='', tokenize='{_TOKENIZER}')"
        )
        connection.execute(
            f"INSERT INTO {self._chunks} ({self._chunks}, rank) VALUES "
            f"('rank', 'bm25({_HEADING_WEIGHT}, {_TEXT_WEIGHT})')"
        )
        connection.execute(f"CREATE VIRTUAL TABLE {self._documents} USING fts5(name, title, tokenize='{_TOKENIZER}')")

    def drop(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"DROP TABLE IF EXISTS {self._chunks}")
        connection.execute(f"DROP TABLE IF EXISTS {self._documents}")

    def add_content(self, content_id: int) -> None:
        """Index every chunk of the content that is not indexed here yet, a short transaction a batch."""
        while self._add_batch(content_id):
            pass

    def remove_content(self, content_id: int) -> None:
        """Take every chunk of the content out of this collection's index."""
        while self._remove_batch(content_id):
            pass

    def stale_contents(self) -> list[int]:
        """Contents that are indexed here although no document of the collection shows them any more."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"""SELECT id FROM content WHERE id NOT IN ({LIVE_CONTENTS}) AND EXISTS (SELECT 1 FROM chunk
                    WHERE content_id = content.id AND id IN (SELECT id FROM {self._chunks}_docsize))""",
                {"collection": self._collection_id},
            ).fetchall()
        return [row["id"] for row in rows]

    def set_document(self, connection: sqlite3.Connection, document_id: int, path: str, title: str) -> None:
        """Within the caller's transaction: index the document's name and title anew."""
        self.remove_document(connection, document_id)
        connection.execute(
            f"INSERT INTO {self._documents} (rowid, name, title) VALUES (?, ?, ?)",
            (document_id, _spaced(path_words(path)), _spaced(title)),
        )

    def remove_document(self, connection: sqlite3.Connection, document_id: int) -> None:
        connection.execute(f"DELETE FROM {self._documents} WHERE rowid = ?", (document_id,))

    def search_chunks(self, terms: Sequence[str], k: int) -> list[tuple[int, float]]:
        """The best `k` chunks of live documents that hold any of `terms`: (chunk id, BM25 score), higher is better."""
        # FTS5 hands out its rows by rank, so the join stops at the k-th that is live.
        table = self._chunks
        return self._search(
            f"""SELECT {table}.rowid, rank FROM {table} CROSS JOIN chunk ON chunk.id = {table}.rowid
                WHERE {table} MATCH :match AND {is_live("chunk.content_id")} ORDER BY rank LIMIT :k""",
            terms,
            k,
        )

    def search_documents(self, terms: Sequence[str], k: int) -> list[tuple[int, float]]:
        """The best `k` documents by name and title: (document id, BM25 score), higher is better."""
        table = self._documents
        return self._search(
            f"SELECT rowid, rank FROM {table} WHERE {table} MATCH :match ORDER BY rank LIMIT :k", terms, k
        )

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """In how many chunks each term stands."""
        with self._database.read() as connection:
            return {
                term: connection.execute(
                    f"SELECT count(*) FROM {self._chunks} WHERE {self._chunks} MATCH ?", (_quoted(term),)
                ).fetchone()[0]
                for term in terms
            }

    def chunk_count(self) -> int:
        with self._database.read() as connection:
            row = connection.execute(f"SELECT count(*) FROM {self._chunks}_docsize").fetchone()
        return int(row[0])

    def indexed_chunks(self) -> set[int]:
        """Every chunk id in the index."""
        with self._database.read() as connection:
            return {row[0] for row in connection.execute(f"SELECT rowid FROM {self._chunks}")}

    def _search(self, statement: str, terms: Sequence[str], k: int) -> list[tuple[int, float]]:
        if not terms:
            return []
        values = {"match": " OR ".join(map(_quoted, terms)), "k": k, "collection": self._collection_id}
        with self._database.read() as connection:
            rows = connection.execute(statement, values).fetchall()
        return [(row[0], -row[1]) for row in rows]

    def _add_batch(self, content_id: int) -> bool:
        """Index some chunks that are missing; false when none is left. Looks before it locks."""
        missing = f"""SELECT id, heading, text FROM chunk WHERE content_id = ? AND NOT EXISTS
            (SELECT 1 FROM {self._chunks}_docsize WHERE id = chunk.id) ORDER BY id LIMIT {_BATCH}"""
        with self._database.read() as connection:
            if connection.execute(missing, (content_id,)).fetchone() is None:
                return False
        with self._database.write() as connection:
            rows = connection.execute(missing, (content_id,)).fetchall()
            connection.executemany(
                f"INSERT INTO {self._chunks} (rowid, heading, text) VALUES (?, ?, ?)", map(_entry, rows)
            )
        return len(rows) == _BATCH

    def _remove_batch(self, content_id: int) -> bool:
        present = f"""SELECT id, heading, text FROM chunk WHERE content_id = ? AND EXISTS
            (SELECT 1 FROM {self._chunks}_docsize WHERE id = chunk.id) LIMIT {_BATCH}"""
        with self._database.write() as connection:
            rows = connection.execute(present, (content_id,)).fetchall()
            _delete(connection, self._chunks, rows)
        return len(rows) == _BATCH


def delete_everywhere(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> None:
    """Within the caller's transaction: take chunks (rows of id, heading, text) out of every collection's index."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE chunk_lexical_%'"
    ).fetchall()
    for (table,) in tables:
        there = f"SELECT 1 FROM {table}_docsize WHERE id = ?"
        present = [row for row in rows if connection.execute(there, (row["id"],)).fetchone()]
        _delete(connection, table, present)


def _delete(connection: sqlite3.Connection, table: str, rows: Iterable[sqlite3.Row]) -> None:
    # A contentless table forgets an entry only when it is given the very text that was put in.
    connection.executemany(
        f"INSERT INTO {table} ({table}, rowid, heading, text) VALUES ('delete', ?, ?, ?)", map(_entry, rows)
    )


def _entry(row: sqlite3.Row) -> tuple[int, str, str]:
    return row["id"], _spaced(row["heading"]), _spaced(row["text"])


def _quoted(term: str) -> str:
    """A term as FTS5 reads a string: nothing in it is an operator."""
    return '"' + term.replace('"', '""').replace("\0", " ") + '"'


def _spaced(text: str) -> str:
    return _UNSPACED.sub(r" \1 ", text)
