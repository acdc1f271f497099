"""What the tests of `rag` share: evidence made by hand, a scripted language model, and an appliance to write to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from indexes.contents import StoredPage
from indexes.records import StoredChunk
from ingest.events import MirrorDone
from models.cancellation import CancelToken
from models.errors import EngineUnavailable
from models.interfaces import ChatDelta, ChatMessage, Embedder, Engine, Usage
from rag.access import LOCAL_USER
from rag.appliance import Appliance
from rag.building import build_appliance
from rag.evidence import Sentence
from rag.ownership import try_own
from rag.retrieval import Found
from rag.settings import Settings

PAGE = "Eligible are:\n- keepers\n- their families\n\nThe lens costs 48 pounds. It is heavy. Ask the Board."


def stored_page(text: str = PAGE, **fields: object) -> StoredPage:
    given = {"id": 7, "content_id": 3, "number": 2, "part": None, "width": None, "height": None, "lines": (), **fields}
    return StoredPage(text=text, metadata=None, **given)  # type: ignore[arg-type]  # by name


def found_on(page: StoredPage, *, score: float = 1.0, heading: str = "Rights", chunk_id: int = 11) -> Found:
    chunk = StoredChunk(
        chunk_id=chunk_id,
        content_id=page.content_id,
        ordinal=0,
        document_id=5,
        file="guides/lens.txt",
        version=4,
        title="Guide",
        heading=heading,
        text=page.text,
        spans=((page.id, 0, len(page.text)),),
        part=None,
        page=page.number,
        page_end=page.number,
    )
    return Found(chunk, score, 0.5, 0.5, 0.0)


@dataclass
class ScriptedModel:
    """A language model that says what it is told to, a few characters at a time; tokens are words."""

    says: Sequence[str] = ()
    fails: bool = False
    breaks_off_after: int | None = None
    """How many of its sentences it says before its engine breaks off."""
    engine: Engine | None = None
    context_tokens: int = 4096
    name: str = "scripted"
    asked: list[tuple[ChatMessage, ...]] = field(default_factory=list)
    salts: list[str | None] = field(default_factory=list)
    cancel_after: int | None = None

    def prepare(self, cancel: CancelToken) -> None:
        cancel.check()

    def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        salt: str | None = None,
        cancel: CancelToken,
    ) -> Iterator[ChatDelta]:
        del max_tokens, temperature, stop
        self.asked.append(tuple(messages))
        self.salts.append(salt)
        if self.fails:
            raise EngineUnavailable("the engine has gone")
        if self.engine:
            yield ChatDelta("", engine=self.engine)
        text = "".join(f"{said} " for said in self.says[: self.breaks_off_after])
        for n, first in enumerate(range(0, len(text), 7)):
            if n == self.cancel_after:
                cancel.cancel()
            cancel.check()
            yield ChatDelta(text[first : first + 7])
        if self.breaks_off_after is not None:
            raise EngineUnavailable("the engine broke off")
        yield ChatDelta("", "stop", Usage(100, 20))

    def count_tokens(self, text: str) -> int:
        return len(text.split())


@pytest.fixture(scope="session")
def embedder(appliance: Appliance) -> Embedder:
    return appliance.embedder()


@pytest.fixture
def page_and_sentences(embedder: Embedder) -> Callable[..., list[Sentence]]:
    """Sentences of one page, by their text, each with its vector; the first supports an answer best."""

    def make(*texts: str, page: StoredPage | None = None) -> list[Sentence]:
        page = page or stored_page(" ".join(texts))
        hit = found_on(page)
        vectors = embedder.embed_passages(list(texts))
        starts = [page.text.index(text) for text in texts]
        return [
            Sentence(hit, page, start, start + len(text), np.asarray(vector), 1 - n / 100, 0.5)
            for n, (text, start, vector) in enumerate(zip(texts, starts, vectors, strict=True))
        ]

    return make


@pytest.fixture(scope="module")
def own_appliance(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Appliance, Path]]:
    """An appliance that a test may change, with the folder that its default collection mirrors."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), cache=cache)
    folder = tmp_path_factory.mktemp("folder")
    (folder / "lens.txt").write_text("A broken lens is paid for by the Harbour Board. The lamp is lit before sunset.")
    owner = try_own(settings.home)
    assert owner is not None
    with owner:
        appliance = build_appliance(settings, owner)
        events = list(appliance.mirror(folder, identity=LOCAL_USER, cancel=CancelToken()))
        assert isinstance(events[-1], MirrorDone), events[-1]
        yield appliance, folder
        appliance.close()


@pytest.fixture
def fresh_appliance(cache: Path, tmp_path: Path) -> Iterator[Appliance]:
    """One for each test, for tests that hurt it."""
    settings = Settings(home=tmp_path / "home", cache=cache, parsers=1)
    owner = try_own(settings.home)
    assert owner is not None
    with owner:
        appliance = build_appliance(settings, owner)
        yield appliance
        appliance.close()
    assert try_own(settings.home), "a process that outlived the appliance still holds the data folder"
