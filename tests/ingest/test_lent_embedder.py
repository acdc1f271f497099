"""An ingest process that borrows its parent's embedder makes the same chunks and vectors as with one of its own."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from indexes.database import Database
from indexes.library import Library
from ingest.events import FileDone, IngestEvent, MirrorDone, MirrorFailed
from ingest.lending import Lender
from ingest.lent_embedder import LentEmbedder, Loans, Message
from ingest.process import IngestProcess
from ingest.requests import WorkerSetup
from models.catalog import load_catalog
from models.download import ensure
from models.errors import ModelError
from models.interfaces import Embedder, Vectors

TEXTS = ["A broken lens is paid for by the Harbour Board.", "The lamp is lit before sunset.", ""]
WAIT_S = 60


class Lent:
    """The real embedder under a name of its own, with a count of what it embedded; it can be told to fail."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.identity = f"lent {embedder.identity}"
        self.texts: list[str] = []
        self.problem: Exception | None = None
        self.embedding = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._embedder, name)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        if texts:
            self.embedding.set()
            assert self.go_on.wait(WAIT_S)
            if self.problem is not None:
                raise self.problem
        self.texts += texts
        return self._embedder.embed_passages(texts)


@pytest.fixture
def lent(embedder: Embedder) -> Lent:
    return Lent(embedder)


@pytest.fixture
def borrowed(lent: Lent, cache: Path) -> Iterator[LentEmbedder]:
    """Both ends of the pipe in one process."""
    downwards: queue.SimpleQueue[Message] = queue.SimpleQueue()
    lender = Lender(lambda: lent, downwards.put)  # type: ignore[arg-type, return-value]  # by __getattr__
    loans = Loans(lender.take)
    threading.Thread(target=lambda: [loans.take(downwards.get()) for _ in range(1000)], daemon=True).start()
    yield LentEmbedder(ensure(load_catalog().entry("all-minilm-l6-v2"), cache, fetch=False), loans)
    lender.close()


def test_vectors_tokens_and_identity_are_those_of_the_parents_embedder(
    borrowed: LentEmbedder, lent: Lent, embedder: Embedder
) -> None:
    np.testing.assert_array_equal(borrowed.embed_passages(TEXTS), embedder.embed_passages(TEXTS))
    np.testing.assert_array_equal(borrowed.embed_queries(TEXTS), embedder.embed_queries(TEXTS))
    assert borrowed.embed_passages([]).shape == (0, 384)
    assert borrowed.token_offsets(TEXTS[0]) == embedder.token_offsets(TEXTS[0])
    assert (borrowed.identity, borrowed.dimension, borrowed.window_tokens) == (
        lent.identity,
        embedder.dimension,
        embedder.window_tokens,
    )


@pytest.mark.parametrize("problem", [ModelError("The GPU has no memory"), ValueError("something odd")])
def test_what_goes_wrong_in_the_parent_is_a_model_error_in_the_child(
    borrowed: LentEmbedder, lent: Lent, problem: Exception
) -> None:
    lent.problem = problem
    with pytest.raises(ModelError, match=str(problem)):
        borrowed.embed_passages(TEXTS)
    lent.problem = None
    assert len(borrowed.embed_passages(TEXTS)) == 3


class Home:
    """A data folder with its ingest process, which borrows `lent` or has an embedder of its own."""

    def __init__(self, folder: Path, documents: Path, cache: Path, lent: Lent | None) -> None:
        self.documents = documents
        self.library = Library(Database(folder / "lectern.sqlite"), folder / "indexes")
        setup = WorkerSetup(
            database=str(folder / "lectern.sqlite"),
            index_cache=str(folder / "indexes"),
            weights_cache=str(cache),
            embedder="all-minilm-l6-v2",
            threads=1,
            parsers=1,
        )
        # What is lent fulfils the protocol by passing every call on.
        give: Callable[[], Embedder] | None = None if lent is None else lambda: lent  # type: ignore[assignment, return-value]
        self.process = IngestProcess(setup, log_file=folder / "ingest.log", embedder=give)
        self.embedder = lent

    def mirror(self) -> list[IngestEvent]:
        self.make_collection()
        events: list[IngestEvent] = []
        mirroring = self.process.mirror("default", self.documents, hidden=False, listener=events.append)
        assert mirroring.done.wait(WAIT_S)
        return events

    def make_collection(self) -> None:
        if "default" not in self.library.names():
            identity = self.identity if self.embedder is None else self.embedder.identity
            self.library.ensure("default", embedder=identity, dimension=384)

    identity = ""

    def contents(self) -> list[tuple[str, list[float]]]:
        """Each chunk's text with its vector."""
        collection = self.library.collection("default")
        ids, vectors = collection.vectors.of_chunks(collection.dense.ids().tolist())
        chunks = collection.chunks(ids.tolist())
        return sorted((chunks[i].text, vector.tolist()) for i, vector in zip(ids.tolist(), vectors, strict=True))

    def close(self) -> None:
        self.process.close()
        self.library.close()


@pytest.fixture
def make_home(tmp_path: Path, cache: Path, embedder: Embedder) -> Iterator[Callable[[Lent | None], Home]]:
    documents, homes = tmp_path / "documents", []
    documents.mkdir()
    for number in range(40):
        (documents / f"{number}.txt").write_text(f"Page {number} of the log. {TEXTS[number % 2]} " * 30)

    def make(lent: Lent | None) -> Home:
        folder = tmp_path / f"home {len(homes)}"
        folder.mkdir()
        homes.append(Home(folder, documents, cache, lent))
        homes[-1].identity = embedder.identity
        return homes[-1]

    yield make
    for home in homes:
        home.close()


def test_a_mirror_is_the_same_with_a_lent_embedder(make_home: Callable[[Lent | None], Home], lent: Lent) -> None:
    own, borrowing = make_home(None), make_home(lent)
    for home in (own, borrowing):
        events = home.mirror()
        assert isinstance(events[-1], MirrorDone), events[-1]
        assert sum(isinstance(event, FileDone) for event in events) == 40
    expected, found = own.contents(), borrowing.contents()
    assert len(expected) > 40
    assert [text for text, _ in found] == [text for text, _ in expected]
    np.testing.assert_allclose([vector for _, vector in found], [vector for _, vector in expected], atol=1e-3)
    assert len(lent.texts) == len(found)
    process_id = borrowing.process.process_id
    maps = Path(f"/proc/{process_id}/maps").read_text()
    assert "libtorch" not in maps
    assert "onnxruntime" not in maps


def test_a_parent_that_cannot_embed_fails_the_mirror_and_says_why(
    make_home: Callable[[Lent | None], Home], lent: Lent
) -> None:
    home = make_home(lent)
    lent.problem = ModelError("The GPU has no memory for even one text")
    last = home.mirror()[-1]
    assert isinstance(last, MirrorFailed)
    assert (last.code, last.message) == ("not_ready", "The GPU has no memory for even one text")
    lent.problem = None
    assert isinstance(home.mirror()[-1], MirrorDone)


def test_a_child_that_dies_while_it_waits_for_vectors_is_replaced(
    make_home: Callable[[Lent | None], Home], lent: Lent
) -> None:
    home = make_home(lent)
    home.make_collection()
    lent.go_on.clear()
    events: list[IngestEvent] = []
    mirroring = home.process.mirror("default", home.documents, hidden=False, listener=events.append)
    assert lent.embedding.wait(WAIT_S)
    process_id = home.process.process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    assert mirroring.done.wait(WAIT_S)
    assert isinstance(events[-1], MirrorFailed)
    assert events[-1].code == "worker_died"
    lent.go_on.set()
    assert isinstance(home.mirror()[-1], MirrorDone)
    assert len(home.contents()) > 40


def test_a_mirror_can_be_stopped_while_the_parent_embeds(make_home: Callable[[Lent | None], Home], lent: Lent) -> None:
    home = make_home(lent)
    home.make_collection()
    lent.go_on.clear()
    events: list[IngestEvent] = []
    mirroring = home.process.mirror("default", home.documents, hidden=False, listener=events.append)
    assert lent.embedding.wait(WAIT_S)
    home.process.cancel(mirroring)
    lent.go_on.set()
    assert mirroring.done.wait(WAIT_S)
    assert isinstance(events[-1], MirrorFailed)
    assert events[-1].code == "cancelled"
