from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from indexes.database import Database
from indexes.errors import DatabaseFailed, NewerDatabase

ROOT = Path(__file__).resolve().parents[2]


def migrations(folder: Path, *scripts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, script in enumerate(scripts, start=1):
        (folder / f"{number:04}_step.sql").write_text(script)
    return folder


def version_of(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def names_in(database: Database) -> list[str]:
    with database.read() as connection:
        return [row["name"] for row in connection.execute("SELECT name FROM thing ORDER BY name")]


@pytest.fixture
def things(tmp_path: Path):
    folder = migrations(tmp_path / "migrations", "CREATE TABLE thing (name TEXT); -- one table; no more\n")
    database = Database(tmp_path / "things.sqlite", migrations=folder)
    yield database
    database.close()


def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    first = "CREATE TABLE thing (name TEXT);\nINSERT INTO thing VALUES ('a;\nb');"
    folder = migrations(tmp_path / "m", first)
    Database(tmp_path / "db", migrations=folder).close()
    migrations(folder, first, "ALTER TABLE thing ADD COLUMN size INTEGER;", "UPDATE thing SET size = 3;")
    for _ in range(2):
        database = Database(tmp_path / "db", migrations=folder)
        with database.read() as connection:
            assert [tuple(row) for row in connection.execute("SELECT * FROM thing")] == [("a;\nb", 3)]
        assert version_of(database) == 3
        database.close()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = migrations(tmp_path / "m", "CREATE TABLE thing (name TEXT);", "CREATE TABLE half (x);\nnonsense;")
    with pytest.raises(DatabaseFailed, match="nonsense"):
        Database(tmp_path / "db", migrations=folder)
    (folder / "0002_step.sql").unlink()
    database = Database(tmp_path / "db", migrations=folder)
    assert version_of(database) == 1
    with database.read() as connection:
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchone() is None
    database.close()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    folder = migrations(tmp_path / "m", "CREATE TABLE thing (name TEXT);", "CREATE TABLE other (name TEXT);")
    Database(tmp_path / "db", migrations=folder).close()
    (folder / "0002_step.sql").unlink()
    with pytest.raises(NewerDatabase, match="format 2, this Lectern knows 1"):
        Database(tmp_path / "db", migrations=folder)


def test_a_file_that_is_no_database_is_named_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(DatabaseFailed, match="restore a backup"):
        Database(tmp_path / "db")


def test_a_block_that_fails_is_rolled_back_and_the_next_one_works(things: Database) -> None:
    def fail() -> None:
        with things.write() as connection:
            connection.execute("INSERT INTO thing VALUES ('lost')")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with things.write() as connection:
        connection.execute("INSERT INTO thing VALUES ('kept')")
    assert names_in(things) == ["kept"]


def test_errors_of_sqlite_are_translated(things: Database) -> None:
    with pytest.raises(DatabaseFailed, match="no such table") as caught, things.read() as connection:
        connection.execute("SELECT * FROM missing")
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert names_in(things) == []


def test_a_read_block_sees_one_state_and_the_next_one_the_newest(things: Database) -> None:
    with things.read() as connection:
        before = connection.execute("SELECT count(*) FROM thing").fetchone()[0]
        with things.write() as writer:
            writer.execute("INSERT INTO thing VALUES ('new')")
        assert connection.execute("SELECT count(*) FROM thing").fetchone()[0] == before
    assert names_in(things) == ["new"]


def test_threads_share_it(things: Database) -> None:
    def add(thread: int) -> None:
        for i in range(20):
            with things.write() as connection:
                connection.execute("INSERT INTO thing VALUES (?)", (f"{thread}-{i}",))
            names_in(things)

    threads = [threading.Thread(target=add, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names_in(things)) == 80


def test_a_closed_database_says_so_also_to_a_reader_that_was_at_it(things: Database) -> None:
    with things.read() as connection:
        things.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
    with pytest.raises(DatabaseFailed, match="closed"):
        names_in(things)


def test_processes_open_migrate_and_write_a_new_database_together(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from pathlib import Path
        from indexes.database import Database
        database = Database(Path(sys.argv[1]))
        for _ in range(30):
            with database.write() as connection:
                connection.execute("INSERT INTO user (name) SELECT 'user ' || count(*) FROM user")
        database.close()
    """
    children = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path / "db"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    errors = [child.communicate()[1] for child in children]
    assert errors == ["", "", ""]
    database = Database(tmp_path / "db")
    with database.read() as connection:
        assert connection.execute("SELECT count(*) FROM user").fetchone()[0] == 91  # and the local user
    database.close()


def test_sync_leaves_what_was_committed_in_the_main_file(things: Database) -> None:
    with things.write() as connection:
        connection.execute("INSERT INTO thing VALUES ('durable')")
    things.sync()
    copy = things.path.with_name("copy.sqlite")
    copy.write_bytes(things.path.read_bytes())  # without the log
    connection = sqlite3.connect(copy)
    assert connection.execute("SELECT name FROM thing").fetchall() == [("durable",)]
    connection.close()
