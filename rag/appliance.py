"""The appliance: every part, built once and wired together, behind the calls that page, API and command line use.

Each call takes the identity of who asks and goes through `rag.access` before anything else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from indexes.collection import Collection
from indexes.errors import StorageError
from indexes.errors import UnknownCollection as NoSuchCollection
from indexes.library import Library
from ingest.events import IngestEvent
from ingest.parser_pool import ParserPool
from ingest.process import IngestProcess
from ingest.walk import plain_path
from models.cancellation import CancelToken
from models.engines.meter import Meter
from models.errors import ModelError
from models.interfaces import ChatDelta, ChatMessage, Embedder
from rag.access import Identity, readable_collections, require_model, require_read, require_write
from rag.answering import Answering, Asked, messages_of
from rag.choices import Choices
from rag.conversations import ConversationInfo, ConversationStore
from rag.errors import BadInput, NotFound, UnknownCollection, UnknownModel
from rag.events import Answer, Event, Mode, Passage
from rag.file_paths import find_documents
from rag.loaded_models import LoadedModels
from rag.lookup import FileReport, look_up
from rag.machine import MachineStatus
from rag.mirrors import Mirrors, log_event
from rag.observing import Observer
from rag.prompt import last_read
from rag.question import require_askable, understand
from rag.salting import Salts
from rag.served import Readiness, ServedModel
from rag.sources import Source, page_image_of, source_of
from rag.status import ALL_FILES, CollectionStatus, Wanted, collection_status

_log = logging.getLogger(__name__)
DEFAULT_COLLECTION = "default"
LECTERN_MODEL = "lectern"


class Appliance:
    """Thread-safe. Built by `rag.building.build_appliance`; `close` ends every process that it started."""

    def __init__(
        self,
        *,
        library: Library,
        models: LoadedModels,
        ingest: IngestProcess,
        previews: ParserPool,
        choices: Choices,
        meter: Meter,
        observer: Observer,
        salts: Salts,
    ) -> None:
        self._library = library
        self._models = models
        self._mirrors = Mirrors(ingest)
        self._previews = previews
        self._choices = choices
        self._meter = meter
        self._observer = observer
        self._salts = salts
        self._conversations = ConversationStore(library.database)
        self._answering = Answering(models, self._conversations, salts, self._searchable)
        self._started = int(time.time())
        self._warm_up_problem: str | None = None

    # Asking

    def answer(
        self,
        question: str,
        *,
        identity: Identity,
        collection: str = DEFAULT_COLLECTION,
        mode: Mode | None = None,
        model: str | None = None,
        history: Sequence[ChatMessage] = (),
        conversation: str | None = None,
        cancel: CancelToken,
    ) -> Iterator[Event]:
        """Answer from the documents; ends with `Done`, or with `Failed` when it was stopped or cannot be given. With a
        `conversation`, the history is read from it and the turn is stored in it. `model` names the one that is to
        write: then no other stands in for it. Raises RagError before the first event."""
        require_read(identity, collection)
        require_askable(question)
        self._require_model(model)
        self._collection(collection)
        already_read: tuple[int, ...] = ()
        if conversation is not None:
            turns = self._conversations.turns(identity, conversation)
            history, already_read = messages_of(turns), last_read(turns)
        writer = _bare(model)
        chosen: Mode = mode or ("generate" if writer else self._choices.mode)
        asked = Asked(question, identity, collection, chosen, writer, tuple(history), already_read, conversation)
        return self._answering.answer(asked, cancel)

    def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        identity: Identity,
        model: str,
        max_tokens: int,
        temperature: float,
        stop: Sequence[str],
        cancel: CancelToken,
    ) -> Iterator[ChatDelta]:
        """The bare language model of that name, or for "lectern" whichever answers; without documents. Raises
        UnknownModel, `models.errors.EngineError`."""
        require_model(identity)
        self._require_model(model)
        return self._models.chat_model(_bare(model)).stream(
            messages,
            max_tokens=max_tokens,
            temperature=temperature,
            stop=stop,
            salt=self._salts.of(identity),
            cancel=cancel,
        )

    def search(
        self,
        query: str,
        *,
        identity: Identity,
        collection: str = DEFAULT_COLLECTION,
        k: int = 10,
        history: Sequence[ChatMessage] = (),
    ) -> tuple[list[Passage], dict[str, float]]:
        """The best `k` passages, and the milliseconds of each step."""
        require_read(identity, collection)
        require_askable(query)
        if k < 1:
            raise BadInput(f"k = {k} makes no sense: ask for at least one passage.")
        question = understand(query, [message.content for message in history if message.role == "user"])
        searched, _ = self._searchable(collection)
        retrieval = self._models.retriever().retrieve(searched, question, k)
        return [hit.passage for hit in retrieval.found], retrieval.timings_ms

    # Citations and conversations

    def source(self, citation_id: str, *, identity: Identity) -> Source:
        """What the citation stands on, as it was read. Raises NotFound, Forbidden."""
        cited = self._conversations.citation(identity, citation_id)
        require_read(identity, cited.collection)
        return source_of(cited, self._collection(cited.collection))

    def page_image(self, citation_id: str, *, identity: Identity, width_px: int = 900) -> bytes:
        """The cited page as PNG. Raises NotFound when the file is gone or is not what was cited."""
        cited = self._conversations.citation(identity, citation_id)
        require_read(identity, cited.collection)
        return page_image_of(cited, self._collection(cited.collection), self._previews, width_px)

    def new_conversation(self, identity: Identity, collection: str = DEFAULT_COLLECTION) -> str:
        require_read(identity, collection)
        return self._conversations.begin(identity, self._collection(collection).id)

    def conversation(self, conversation_id: str, *, identity: Identity) -> list[Answer]:
        """Earlier turns, oldest first."""
        return self._conversations.turns(identity, conversation_id)

    def conversations(self, identity: Identity) -> list[ConversationInfo]:
        return self._conversations.all(identity)

    # Folders

    def status(
        self, *, identity: Identity, collection: str = DEFAULT_COLLECTION, wanted: Wanted = ALL_FILES
    ) -> CollectionStatus:
        """`wanted` says which files are listed."""
        require_read(identity, collection)
        found, activity = self._collection(collection), self._mirrors.activity(collection)
        states, working = self._mirrors.folder_states(found), self._mirrors.working
        return collection_status(found, activity, states, time.time(), wanted, working=working)

    def look_up(
        self, path: str, *, identity: Identity, collection: str = DEFAULT_COLLECTION, absolute: str | None = None
    ) -> FileReport:
        """What is known of one file, and why it can or cannot be found; the paths are those of `rag.lookup.look_up`.
        Raises NotFound."""
        require_read(identity, collection)
        found = self._collection(collection)
        states, working = self._mirrors.folder_states(found), self._mirrors.working
        return look_up(found, path, states, time.time(), absolute, working=working)

    def collections(self, identity: Identity) -> list[str]:
        self._collection(DEFAULT_COLLECTION)
        return readable_collections(identity, self._library.names())

    def collection(self, name: str, *, identity: Identity) -> Collection:
        """For commands that look into a collection. Raises UnknownCollection, Forbidden."""
        require_read(identity, name)
        return self._collection(name)

    def embedder(self) -> Embedder:
        """The embedder in use, for measurements."""
        return self._models.embedder()

    def add_folder(
        self,
        folder: Path,
        *,
        identity: Identity,
        collection: str = DEFAULT_COLLECTION,
        hidden: bool = False,
        rules: Sequence[str] | None = None,
    ) -> None:
        """Mirror the folder in the background; `rules` are gitignore lines. Raises BadInput when it is not a folder."""
        place = self._to_be_mirrored(folder, identity, collection)
        self._mirrors.start(*place, hidden=hidden, rules=rules, listener=log_event)

    def mirror(
        self,
        folder: Path,
        *,
        identity: Identity,
        collection: str = DEFAULT_COLLECTION,
        hidden: bool = False,
        rules: Sequence[str] | None = None,
        cancel: CancelToken,
    ) -> Iterator[IngestEvent]:
        """Mirror the folder and yield what happens; the last event is MirrorDone or MirrorFailed. Leaving off early
        stops it. `rules` are gitignore lines; None are those that the folder has."""
        place = self._to_be_mirrored(folder, identity, collection)
        return self._mirrors.run(*place, hidden=hidden, rules=rules, cancel=cancel)

    def follow(
        self, folder: Path, *, identity: Identity, collection: str = DEFAULT_COLLECTION, cancel: CancelToken
    ) -> Iterator[IngestEvent]:
        """Keep a folder that is mirrored in step with the disk, and yield what happens, until it is cancelled."""
        return self._mirrors.follow(*self._to_be_mirrored(folder, identity, collection), cancel)

    def follow_all(self) -> None:
        """Keep every folder of every collection in step with the disk for as long as the appliance lives."""
        self._mirrors.follow_all()

    def pause(self, paused: bool, *, identity: Identity, collection: str = DEFAULT_COLLECTION) -> None:
        """Let the files of the collection wait, or have them read again; it stays so over restarts. What is deleted
        on the disk leaves the index all the same."""
        require_write(identity, collection)
        self._collection(collection).pause(paused)
        self._mirrors.wake()

    def retry(self, path: str | None = None, *, identity: Identity, collection: str = DEFAULT_COLLECTION) -> list[str]:
        """Have a file read again (in each folder that has such a path), or all that failed or were quarantined, but
        for those that are empty; returns their paths. Raises NotFound."""
        require_write(identity, collection)
        documents = self._collection(collection).documents
        if path is not None:
            rows = find_documents(self._collection(collection), path)
        else:
            rows = [row for row in documents.all() if row.state in ("failed", "quarantined") and row.size_bytes]
        documents.retry([row.id for row in rows])
        self._mirrors.wake()
        return [row.path for row in rows]

    def cancel_ingest(self, *, identity: Identity) -> None:
        """Stop whatever is being mirrored; what was read stays."""
        require_write(identity, DEFAULT_COLLECTION)
        self._mirrors.cancel_all()

    def forget_folder(self, folder: Path, *, identity: Identity, collection: str = DEFAULT_COLLECTION) -> None:
        """Take a folder's documents out of the collection; the files themselves are not touched. Raises NotFound, and
        Busy when a mirror of it that is under way does not stop."""
        require_write(identity, collection)
        documents = self._collection(collection).documents
        path = str(plain_path(folder))
        row = next((row for row in documents.folders() if row.path == path), None)
        if row is None:
            known = ", ".join(row.path for row in documents.folders()) or "none"
            raise NotFound(f"{path} is not a folder of the collection {collection!r}; its folders: {known}.")
        self._mirrors.stop(collection, Path(path))
        documents.forget_folder(row.id)

    def remove_collection(self, name: str, *, identity: Identity) -> None:
        """Take the collection with all its documents away; the files themselves are not touched. Raises
        UnknownCollection, and Busy when a mirror into it that is under way does not stop."""
        require_write(identity, name)
        if name not in self._library.names():
            raise UnknownCollection(f"There is no collection {name!r}; `python app.py collection list` names them.")
        self._mirrors.stop(name)
        self._library.remove(name)

    # The appliance itself

    def models(self) -> list[ServedModel]:
        """What answers from documents, then each engine's model once."""
        owners = {engine.model: engine.place for engine in reversed(self._models.engines.all)}
        return [
            ServedModel(LECTERN_MODEL, "lectern", self._started, answers_from_documents=True),
            *(
                ServedModel(name, owners[name], self._started, answers_from_documents=False)
                for name in self._models.chat_model_names
                if name != LECTERN_MODEL
            ),
        ]

    def readiness(self) -> Readiness:
        detail = self._warm_up_problem or self._models.state
        return Readiness(live=True, ready=self._models.embedder_ready, detail=detail)

    def describe(self) -> list[str]:
        """The choices made and why, a sentence each."""
        return self._choices.sentences(self._models.embedder_reason)

    def machine(self) -> MachineStatus:
        """What runs here right now: memory, GPUs, engines and their traffic, and what was chosen."""
        return self._observer.machine(self.describe())

    def metrics_text(self) -> bytes:
        """The traffic of the language models, in Prometheus' text format."""
        return self._meter.text()

    def warm_up(self) -> None:
        """Load in the background what the first question needs, so that it need not wait."""
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    def close(self) -> None:
        """End the ingest process, the parsers and the language model; save the index caches. What runs is stopped."""
        with ExitStack() as ending:  # each is ended, whatever becomes of the others
            ending.callback(self._close_library)
            ending.callback(self._models.close)
            ending.callback(self._previews.close)
            ending.callback(self._mirrors.close)

    def _collection(self, name: str) -> Collection:
        """The collection; the default one is made when first asked for."""
        if name == DEFAULT_COLLECTION:
            return self._ensure(name)
        try:
            return self._library.collection(name)
        except NoSuchCollection as exc:
            raise UnknownCollection(str(exc)) from exc

    def _ensure(self, name: str) -> Collection:
        """The collection, made if need be; what is there already is given without loading the embedder."""
        if name in self._library.names():
            return self._library.collection(name)
        return self._made_by_this_embedder(name)[0]

    def _searchable(self, name: str) -> tuple[Collection, Embedder]:
        """The collection with the embedder of its vectors. Raises UnknownCollection, EmbedderMismatch, ModelError."""
        self._collection(name)
        return self._made_by_this_embedder(name)

    def _made_by_this_embedder(self, name: str) -> tuple[Collection, Embedder]:
        embedder = self._models.embedder()
        return self._library.ensure(name, embedder=embedder.identity, dimension=embedder.dimension), embedder

    def _to_be_mirrored(self, folder: Path, identity: Identity, collection: str) -> tuple[Path, Collection]:
        require_write(identity, collection)
        folder = plain_path(folder)
        if not folder.is_dir():
            raise BadInput(f"{folder} is not a folder. Check the spelling, or whether its disk is there.")
        made = self._made_by_this_embedder(collection)[0]
        for row in made.documents.folders():
            other = Path(row.path)
            if folder != other and (folder.is_relative_to(other) or other.is_relative_to(folder)):
                raise BadInput(
                    f"{folder} and {other}, which the collection {collection!r} has, lie within each other: "
                    f"files would be indexed twice. Take {other} out first (Remove beside it on the page, or "
                    f"`python app.py collection forget {other}`), or use another collection."
                )
        return folder, made

    def _require_model(self, model: str | None) -> None:
        known = [served.id for served in self.models()]
        if model is not None and model not in known:
            raise UnknownModel(
                f"There is no model {model!r} here; there are: {', '.join(known)}. "
                "LECTERN_LLM chooses the language model when Lectern starts."
            )

    def _warm_up(self) -> None:
        try:
            self._models.embedder()
            for name in self._library.names():
                self._library.collection(name).dense.refresh()
            self._models.engines.start()
        except (ModelError, StorageError) as exc:  # the edge of this thread: who asks meets it again
            _log.warning("not warmed up: %s", exc)
            self._warm_up_problem = str(exc)

    def _close_library(self) -> None:
        try:
            self._library.close()
        except StorageError as exc:  # the caches are made anew at the next start
            _log.warning("%s", exc)


def _bare(model: str | None) -> str | None:
    """The id of one language model, or None for any."""
    return None if model == LECTERN_MODEL else model
