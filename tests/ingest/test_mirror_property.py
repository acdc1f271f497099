"""Whatever happens to the folder, and whenever the process is killed: after the next mirror the collection is the one
that a fresh ingest of the folder makes, and the database holds nothing else.

More steps, or other ones: `MIRROR_EXAMPLES=50 pytest tests/ingest/test_mirror_property.py --hypothesis-seed=7`.
"""

from __future__ import annotations

import functools
import itertools
import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.ingest.driving import Driver
from tests.ingest.mirror_driver import COLLECTION
from tests.ingest.mirror_picture import Picture, faults_of, picture_of
from tests.ingest.random_folder import FOLDERS, NAMES, RandomFolder

STEPS, EXAMPLES = 60, 6
LEAST_STEPS = 300
LEAST_BETWEEN = 4
MOST_KILLS = 3
"""Without a mirror that ends in between: a file that ended its process five times is put into quarantine."""

picks = st.integers(0, 63)
seeds = st.integers(0, 30)  # few, so that contents meet again
folders = st.sampled_from(FOLDERS)
names = st.sampled_from(NAMES)
moments = st.tuples(st.integers(0, 3), st.integers(0, 80))
thens = st.one_of(*[st.none()] * 8, st.just("mirror"), moments)
Then = tuple[int, int] | str | None
"""A moment is so many events after the request, and then so many milliseconds."""
HAS_FILES = precondition(lambda self: bool(self.folder.files()))
HAS_FOLDERS = precondition(lambda self: bool(self.folder.folders()))


def step(**choices: st.SearchStrategy) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule that changes the folder; what comes `then` (nothing, a mirror, or a mirror that is killed at some moment)
    is part of it, so that no history goes without."""

    def decorate(change: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(change)
        def changed(self: Mirroring, then: Then, **chosen: object) -> None:
            change(self, **chosen)
            self.go_on(then)

        return rule(**choices, then=thens)(changed)

    return decorate


class Mirroring(RuleBasedStateMachine):
    """A folder, the data folder that mirrors it, and every so often a data folder that is made afresh."""

    def __init__(self, place: Path, counts: Counter[str]) -> None:
        super().__init__()
        self.place = place
        self.counts = counts
        self.folder = RandomFolder(place / "folder")
        self.home = place / "home"
        self.driver = Driver(place)
        self.fresh = itertools.count()
        self.kills_in_a_row = self.since_compared = 0

    @step(folder=folders, name=names, seed=seeds)
    def write(self, folder: str, name: str, seed: int) -> None:
        self.folder.write(folder, name, seed)

    @step(folder=folders, seeds=st.lists(seeds, min_size=2, max_size=len(NAMES)))
    def write_many(self, folder: str, seeds: list[int]) -> None:
        for name, seed in zip(NAMES, seeds, strict=False):
            self.folder.write(folder, name, seed)

    @HAS_FILES
    @step(pick=picks, seed=seeds, older=st.booleans())
    def modify(self, pick: int, seed: int, older: bool) -> None:
        self.folder.modify(pick, seed, older)

    @HAS_FILES
    @step(pick=picks, folder=folders, name=names)
    def rename(self, pick: int, folder: str, name: str) -> None:
        self.folder.rename(pick, folder, name)

    @HAS_FILES
    @step(pick=picks, folder=folders)
    def move(self, pick: int, folder: str) -> None:
        self.folder.move(pick, folder)

    @HAS_FILES
    @step(pick=picks, folder=folders, name=names)
    def duplicate(self, pick: int, folder: str, name: str) -> None:
        self.folder.duplicate(pick, folder, name)

    @HAS_FOLDERS
    @step(pick=picks, name=st.sampled_from(("three", "five", ".six")))
    def rename_folder(self, pick: int, name: str) -> None:
        self.folder.rename_folder(pick, name)

    @HAS_FILES
    @step(pick=picks, other=picks)
    def swap(self, pick: int, other: int) -> None:
        self.folder.swap(pick, other)

    @HAS_FILES
    @step(pick=picks)
    def touch(self, pick: int) -> None:
        self.folder.touch(pick)

    @HAS_FILES
    @step(pick=picks)
    def delete(self, pick: int) -> None:
        self.folder.delete(pick)

    @HAS_FOLDERS
    @step(pick=picks)
    def delete_folder(self, pick: int) -> None:
        self.folder.delete_folder(pick)

    @HAS_FILES
    @step(pick=picks, seed=seeds)
    def file_becomes_folder(self, pick: int, seed: int) -> None:
        self.folder.file_becomes_folder(pick, seed)

    @HAS_FOLDERS
    @step(pick=picks, seed=seeds)
    def folder_becomes_file(self, pick: int, seed: int) -> None:
        self.folder.folder_becomes_file(pick, seed)

    @HAS_FILES
    @step(pick=picks, folder=folders, name=names)
    def link(self, pick: int, folder: str, name: str) -> None:
        self.folder.link(pick, folder, name)

    @rule(pick=picks)
    def cite(self, pick: int) -> None:
        """A conversation quotes a page: its text stays for good."""
        self.counts["steps"] += 1
        if (self.home / "lectern.sqlite").exists():
            cite(self.home / "lectern.sqlite", pick)

    @precondition(lambda self: self.since_compared >= LEAST_BETWEEN)
    @rule()
    def compare(self) -> None:
        self.counts["comparisons"] += 1
        self.counts["steps"] += 1
        self.kills_in_a_row = self.since_compared = 0
        done = self.driver.mirror(self.home, self.folder.root)
        fresh = self.place / f"fresh {next(self.fresh)}"
        self.driver.mirror(fresh, self.folder.root, last=True)
        assert faults_of(self.home, settled=True) == []
        mirrored, expected = picture_of(self.home, COLLECTION), picture_of(fresh, COLLECTION)
        require_same(mirrored, expected)
        assert mirrored["lexical rows"]
        assert mirrored["dense rows"]
        assert len(done["dense"]) == len(set(done["dense"])) == mirrored["rows"]["chunk"]

    def go_on(self, then: Then) -> None:
        self.counts["steps"] += 1
        self.since_compared += 1
        if isinstance(then, tuple) and self.kills_in_a_row < MOST_KILLS:
            where = self.driver.mirror_and_die(self.home, self.folder.root, then[0], then[1] / 1000)
            self.counts[f"killed after {where}"] += 1
            self.kills_in_a_row += 1
            if (self.home / "lectern.sqlite").exists():
                assert faults_of(self.home, settled=False) == []
        elif then:
            self.driver.mirror(self.home, self.folder.root)
            self.counts["mirrors"] += 1
            self.kills_in_a_row = 0

    def teardown(self) -> None:
        try:
            self.compare()
        finally:
            self.driver.kill()


def require_same(mirrored: Picture, expected: Picture) -> None:
    """Piece by piece, so that a failure says what differs."""
    for path, document in expected["documents"].items():
        known = mirrored["documents"].get(path, {})
        for name, value in document.items():
            assert known.get(name) == value, f"{path}: {name}"
    for name, value in expected.items():
        assert mirrored[name] == value, name


def cite(database: Path, pick: int) -> None:
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        pages = connection.execute(
            """SELECT page.id, page.content_id, folder.collection_id FROM document
               JOIN folder ON folder.id = folder_id JOIN version ON version.id = version_id
               JOIN page ON page.content_id = version.content_id ORDER BY page.id"""
        ).fetchall()
        if not pages:
            return
        page_id, content_id, collection_id = pages[pick % len(pages)]
        turn = f"turn {connection.execute('SELECT count(*) FROM turn').fetchone()[0]}"
        connection.execute("INSERT INTO turn VALUES (?, 1, ?, NULL, 0, '', '{}')", (turn, collection_id))
        connection.execute(
            "INSERT INTO citation VALUES (?, ?, 1, 0, '', 1, ?, ?, 0, 0, 1, '', 1)", (turn, turn, content_id, page_id)
        )


@pytest.mark.slow
def test_after_any_history_the_collection_equals_a_fresh_ingest(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    places = (tmp_path / str(n) for n in itertools.count())

    class Counted(Mirroring):
        def __init__(self) -> None:
            place = next(places)
            place.mkdir()
            super().__init__(place, counts)

    examples = int(os.environ.get("MIRROR_EXAMPLES", EXAMPLES))
    run_state_machine_as_test(
        Counted,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            phases=(Phase.generate,),  # where a kill falls is chance: smaller histories would not fail again
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(dict(counts))
    assert counts["steps"] >= min(LEAST_STEPS, examples * STEPS // 2), counts
