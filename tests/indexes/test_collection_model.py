"""A collection against a plain dictionary, through random histories of what a pipeline and its restarts do."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from indexes.database import Database
from indexes.library import Library

_PATHS = st.sampled_from(["a.txt", "b.txt", "c.txt"])
_TEXTS = st.sampled_from([("one",), ("two", "three"), ("three",), ("one", "one"), ("four", "five", "six")])


def machine(filler_class) -> type[RuleBasedStateMachine]:
    class CollectionMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = tempfile.TemporaryDirectory()
            self.files: dict[str, tuple[str, ...]] = {}
            self.open()

        def open(self) -> None:
            home = Path(self.folder.name)
            self.library = Library(Database(home / "db"), home / "cache")
            self.filler = filler_class(self.library.ensure("papers", embedder="toy", dimension=8))
            self.collection = self.filler.collection

        @rule(path=_PATHS, texts=_TEXTS)
        def publish(self, path: str, texts: tuple[str, ...]) -> None:
            self.filler.publish(path, *texts)
            self.files[path] = texts

        @rule(path=_PATHS, onto=_PATHS)
        def move(self, path: str, onto: str) -> None:
            if path in self.files and onto not in self.files:
                row = self.filler.row(path)
                self.collection.documents.move(row.id, onto=self.filler.pending(onto).id)
                self.files[onto] = self.files.pop(path)

        @rule(path=_PATHS)
        def remove(self, path: str) -> None:
            if self.files.pop(path, None) is not None:
                self.filler.remove(path)

        @rule(texts=_TEXTS)
        def kill_a_build(self, texts: tuple[str, ...]) -> None:
            self.filler.begin(f"killed {texts}", texts)

        @rule()
        def tidy(self) -> None:
            self.filler.tidy()
            assert self.counts("content", "chunk", "page") == self.expected_counts()

        @rule()
        def save(self) -> None:
            self.collection.dense.save()

        @rule(saved=st.booleans())
        def reopen(self, saved: bool) -> None:
            if saved:
                self.library.close()
            else:
                self.library.database.close()  # killed
            self.open()

        @invariant()
        def every_index_holds_the_live_chunks_and_no_other(self) -> None:
            self.filler.embed()
            live = {chunk for path in self.files for chunk in self.filler.chunk_ids(path)}
            by_words = self.collection.lexical.search_chunks(["one", "two", "three", "four", "five", "six"], 1000)
            assert {chunk for chunk, _ in by_words} == live
            assert self.collection.dense.ids().tolist() == sorted(live)
            assert self.collection.vectors.counts() == (len(live), len(live))
            everything = range(1, max(live, default=0) + 20)
            assert self.collection.chunks(everything).keys() == live

        @invariant()
        def every_document_reads_as_its_file(self) -> None:
            for path, texts in self.files.items():
                ids = self.filler.chunk_ids(path)
                chunks = self.collection.chunks(ids)
                assert tuple(chunks[i].text for i in ids) == texts

        @invariant()
        def nothing_is_orphaned(self) -> None:
            with self.library.database.read() as connection:
                assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
                stray = "SELECT count(*) FROM chunk_lexical_1_docsize WHERE id NOT IN (SELECT id FROM chunk)"
                assert connection.execute(stray).fetchone()[0] == 0
            with self.library.database.write() as connection:
                connection.execute("INSERT INTO chunk_lexical_1 (chunk_lexical_1) VALUES ('integrity-check')")

        def counts(self, *tables: str) -> tuple[int, ...]:
            with self.library.database.read() as connection:
                return tuple(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)

        def expected_counts(self) -> tuple[int, int, int]:
            contents = set(self.files.values())
            pages = sum(len(texts) for texts in contents)
            return len(contents), pages, pages

        def teardown(self) -> None:
            self.library.database.close()
            self.folder.cleanup()

    return CollectionMachine


def test_every_history_leaves_a_true_collection(filler_class) -> None:
    run_state_machine_as_test(
        machine(filler_class), settings=settings(max_examples=15, stateful_step_count=15, deadline=None)
    )
