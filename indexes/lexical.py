"""The lexical index: BM25 by SQLite's FTS5, one table a collection, in the same transactions as the truth.

Chunks stand in a contentless table (their text is in `chunk` already); documents stand in a small one of their own,
by the words of their path and title, so that a rename never touches a chunk.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence

from indexes.database import Database
from indexes.live import LIVE_CONTENTS

_TOKENIZER = "porter unicode61 remove_diacritics 2"
_HEADING_WEIGHT, _TEXT_WEIGHT = 1.0, 1.0
# Scripts that are written without spaces: each character is a term of its own (Han, kana, Thai, Lao, Khmer, Burmese).
_UNSPACED = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])"
)
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The terms of `text` in order, lower case, not yet stemmed (FTS5 stems)."""
    return _WORD.findall(_UNSPACED.sub(r" \1 ", text.lower()))


def path_words(path: str) -> str:
    """The words of a path, also those run together: "docs/AnnualReport_2023.pdf" → "docs Annual Report 2023 pdf"."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])", " ", path)
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

    def add_content(self, content_id: int, batch: int = 500) -> None:
        """Index every chunk of the content that is not indexed here yet, a short transaction a batch."""
        missing = (
            f"SELECT id, heading, text FROM chunk WHERE content_id = ? "
            f"AND id NOT IN (SELECT rowid FROM {self._chunks}) ORDER BY id LIMIT ?"
        )
        rows: list[sqlite3.Row] | None = None
        while rows is None or rows:
            with self._database.write() as connection:
                rows = connection.execute(missing, (content_id, batch)).fetchall()
                connection.executemany(
                    f"INSERT INTO {self._chunks} (rowid, heading, text) VALUES (?, ?, ?)", [_entry(row) for row in rows]
                )

    def remove_content(self, content_id: int, batch: int = 500) -> None:
        """Take every chunk of the content out of this collection's index."""
        present = (
            f"SELECT id, heading, text FROM chunk WHERE content_id = ? "
            f"AND id IN (SELECT rowid FROM {self._chunks}) LIMIT ?"
        )
        rows: list[sqlite3.Row] | None = None
        while rows is None or rows:
            with self._database.write() as connection:
                rows = connection.execute(present, (content_id, batch)).fetchall()
                _delete(connection, self._chunks, rows)

    def stale_contents(self) -> list[int]:
        """Contents that are indexed here although no document of the collection shows them any more."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"""SELECT DISTINCT content_id FROM chunk WHERE id IN (SELECT rowid FROM {self._chunks})
                    AND content_id NOT IN ({LIVE_CONTENTS})""",
                {"collection": self._collection_id},
            ).fetchall()
        return [row["content_id"] for row in rows]

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
        """The best `k` chunks that hold any of `terms`: (chunk id, BM25 score), higher is better."""
        return self._search(self._chunks, terms, k)

    def search_documents(self, terms: Sequence[str], k: int) -> list[tuple[int, float]]:
        """The best `k` documents by name and title: (document id, BM25 score), higher is better."""
        return self._search(self._documents, terms, k)

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """In how many chunks each term stands."""
        with self._database.read() as connection:
            return {
                term: connection.execute(
                    f"SELECT count(*) FROM {self._chunks} WHERE {self._chunks} MATCH ?", (f'"{term}"',)
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

    def _search(self, table: str, terms: Sequence[str], k: int) -> list[tuple[int, float]]:
        if not terms:
            return []
        match = " OR ".join(f'"{term}"' for term in terms)
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT rowid, rank FROM {table} WHERE {table} MATCH ? ORDER BY rank LIMIT ?", (match, k)
            ).fetchall()
        return [(row[0], -row[1]) for row in rows]


def delete_everywhere(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> None:
    """Within the caller's transaction: take chunks (rows of id, heading, text) out of every collection's index."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE chunk_lexical_%'"
    ).fetchall()
    for (table,) in tables:
        present = [
            row for row in rows if connection.execute(f"SELECT 1 FROM {table} WHERE rowid = ?", (row[0],)).fetchone()
        ]
        _delete(connection, table, present)


def _delete(connection: sqlite3.Connection, table: str, rows: Iterable[sqlite3.Row]) -> None:
    # A contentless table forgets an entry only when it is given the very text that was put in.
    connection.executemany(
        f"INSERT INTO {table} ({table}, rowid, heading, text) VALUES ('delete', ?, ?, ?)", map(_entry, rows)
    )


def _entry(row: sqlite3.Row) -> tuple[int, str, str]:
    return row["id"], _spaced(row["heading"]), _spaced(row["text"])


def _spaced(text: str) -> str:
    return _UNSPACED.sub(r" \1 ", text)
