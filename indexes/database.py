"""The SQLite database: connections, write transactions, and migrations in order."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexes.errors import DatabaseFailed, NewerDatabase

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_TIMEOUT_S = 30.0
_NEXT_STEP = {
    "SQLITE_FULL": "free some space on its disk",
    "SQLITE_BUSY": "another process holds it: end that one, and try again",
    "SQLITE_READONLY": "make the file and its folder writable",
    "SQLITE_CANTOPEN": "make its folder readable and writable, or choose another LECTERN_HOME",
    "SQLITE_NOTADB": "restore a backup, or remove the file and ingest anew",
    "SQLITE_CORRUPT": "restore a backup, or remove the file and ingest anew",
}


class Database:
    """One database file in WAL mode: many readers, one writer at a time (also across processes).

    Threads may share it. Rows come as `sqlite3.Row`. SQLite's own errors are raised as `DatabaseFailed`.
    """

    def __init__(self, path: Path, *, migrations: Path = _MIGRATIONS) -> None:
        """Open `path`, creating it or bringing it to the newest of the numbered files in `migrations`. Raises
        `NewerDatabase` if a newer Lectern wrote it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._idle_lock = threading.Lock()
        self._closed = False
        self._write_lock = threading.Lock()
        with _translated(path):
            self._writer = self._connect()
        try:
            self._migrate(sorted(migrations.glob("*.sql")))
        except BaseException:
            self._writer.close()
            raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading: every statement of the block sees the database as the first one found it. Keep it
        short, since SQLite's log cannot be folded in meanwhile."""
        with _translated(self.path):
            connection = self._take()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                connection.rollback()
                self._give_back(connection)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One write transaction: committed at the end of the block, rolled back on any error. Keep it under 50 ms."""
        with self._write_lock, _translated(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                self._writer.rollback()  # nothing to do when SQLite has rolled back by itself (disk full)
                raise

    def sync(self) -> None:
        """Return when everything committed so far survives a power cut; without it, the last seconds may not."""
        with self._write_lock, _translated(self.path):
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Close every connection; those of readers that are still at it close when they end."""
        with self._write_lock:
            self._writer.close()
        with self._idle_lock:
            self._closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _take(self) -> sqlite3.Connection:
        with self._idle_lock:
            if self._closed:
                raise DatabaseFailed(f"The database {self.path} was closed: Lectern is shutting down.")
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._idle_lock:
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA cache_size = -16000")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _migrate(self, migrations: list[Path]) -> None:
        """Run the files that this database has not seen, in order, each in one transaction."""
        with self.read() as connection:
            version = _version(connection)
        if version > len(migrations):
            raise NewerDatabase(
                f"{self.path} has format {version}, this Lectern knows {len(migrations)}: "
                "use the newer Lectern, or another LECTERN_HOME"
            )
        for number, file in enumerate(migrations[version:], start=version + 1):
            with self.write() as connection:
                if _version(connection) >= number:
                    continue  # another process that starts at the same time was first
                for statement in _statements(file.read_text(encoding="utf-8")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """The statements of a script whose every statement ends at the end of a line. (`executescript` would commit the
    transaction that it is called in.)"""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        primary = "_".join(getattr(exc, "sqlite_errorname", "").split("_")[:2])
        step = _NEXT_STEP.get(primary, "try again; if it stays so, please report it")
        raise DatabaseFailed(f"The database {path} could not be used ({exc}): {step}.") from exc
