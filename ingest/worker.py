"""The ingest process: mirrors and follows folders as its parent asks, and says in events what happens.

It reads one JSON object a line from its standard input (first a WorkerSetup, then requests) and writes one event a line
to its standard output; `ingest.process` is the other end. When the parent dies, its input ends and so does this
process; when this process dies, the database says what was left to do.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

from indexes.database import Database
from indexes.errors import StorageError, UnknownCollection
from indexes.library import Library
from ingest import scratch
from ingest.errors import IngestError
from ingest.events import IngestEvent, MirrorFailed, to_json
from ingest.following import Following
from ingest.lent_embedder import LentEmbedder, Loans, Message
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.pipeline import Pipeline
from ingest.requests import MirrorRequest, WorkerSetup
from ingest.task import OcrEngine, OcrOptions
from models.cancellation import Cancelled, CancelToken
from models.catalog import load_catalog
from models.devices import detect
from models.download import ensure
from models.embedding.opening import open_embedder
from models.errors import ModelError
from models.interfaces import Embedder

_log = logging.getLogger(__name__)
_END_S = 1.0


class Worker:
    """Each mirror runs in a thread of its own, so that a small folder need not wait for a large one."""

    def __init__(self, setup: WorkerSetup, output: IO[str]) -> None:
        self._setup = setup
        self._output = output
        self._output_lock = threading.Lock()
        self._mirrors: dict[int, tuple[MirrorRequest, CancelToken]] = {}
        self._left: set[int] = set()  # mirrors of folders that nobody wants any more
        self._library = Library(Database(Path(setup.database)), Path(setup.index_cache))
        ocr = OcrOptions(cast(OcrEngine, setup.ocr), tuple(setup.ocr_languages))
        self._pool = ParserPool(setup.parsers, Limits(), ocr=ocr)
        self._loans = Loans(self._write)
        self._starting = threading.Lock()
        self._pipeline: Pipeline | None = None
        self._following: Following | None = None
        self._follows_all = False

    def take(self, message: Message) -> None:
        """One line of the parent's: {"mirror": …}, {"cancel": id}, {"follow": null or [collection, folder]},
        {"leave": [collection, folder or null], "id": …}, {"wake": true}, or a vector that it lends."""
        if "mirror" in message:
            request, cancel = MirrorRequest(**message["mirror"]), CancelToken()
            self._mirrors[request.id] = request, cancel
            self._begin(self._mirror, request, cancel)
        elif "cancel" in message:
            if found := self._mirrors.get(message["cancel"]):
                found[1].cancel()
        elif "follow" in message:
            self._begin(self._follow, message["follow"])
        elif "leave" in message:
            self._begin(self._leave, *message["leave"], message["id"])
        elif "wake" in message:
            if self._pipeline is not None:
                self._pipeline.wake()
        else:
            self._loans.take(message)

    def close(self) -> None:
        """Stop what is under way, which is given back to the queue, then the parsers."""
        for _, cancel in list(self._mirrors.values()):
            cancel.cancel()
        if self._pipeline is not None:
            self._pipeline.close(_END_S)
        self._pool.close()

    def _begin(self, work: object, *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()  # type: ignore[arg-type]  # one of our methods

    def _mirror(self, request: MirrorRequest, cancel: CancelToken) -> None:
        def failed(code: str, message: str) -> MirrorFailed:
            return MirrorFailed(request.collection, request.folder, code, message)

        event: IngestEvent
        try:
            cancel.check()
            pipeline, _ = self._started()
            self._library.collection(request.collection)  # one that was removed meanwhile is not made again
            rules = None if request.rules is None else tuple(request.rules)
            event = pipeline.mirror(
                request.collection, Path(request.folder), hidden=request.hidden, rules=rules, cancel=cancel
            )
        except Cancelled:
            event = failed("cancelled", "Stopped on request; what was read so far stays, and the next run goes on.")
        except IngestError as exc:
            event = failed(exc.code, str(exc))
        except (StorageError, ModelError) as exc:
            event = failed("not_ready", str(exc))
        except Exception as exc:  # the edge of this process: the parent must hear of it
            _log.exception("mirroring failed")
            event = failed("internal_error", f"{type(exc).__name__}: {exc}. The log of the ingest process has more.")
        self._write({"request": request.id, **to_json(event)})
        del self._mirrors[request.id]
        if self._follows_all and request.id not in self._left:
            self._follow([request.collection, request.folder])  # also when it failed: it is looked at again and again

    def _follow(self, one: list[str] | None) -> None:
        """One folder of a collection, or every folder that there is and that comes."""
        try:
            pipeline, following = self._started()
            if one is not None:
                self._follow_folder(pipeline, following, *one)
                return
            self._follows_all = True
            for name in self._library.names():
                for row in self._library.collection(name).documents.folders():
                    self._follow_folder(pipeline, following, name, row.path)
        except (StorageError, ModelError, IngestError) as exc:  # the edge of this thread
            _log.warning("folders are not followed: %s", exc)

    def _follow_folder(self, pipeline: Pipeline, following: Following, name: str, path: str) -> None:
        try:
            collection = pipeline.collection(name)
        except StorageError as exc:  # of another embedder: its folders wait, the others do not
            _log.warning("%s is not followed: %s", path, exc)
            return
        row = next((row for row in collection.documents.folders() if row.path == path), None)
        if row is not None and Path(row.path).is_absolute():  # else what another program put in, which is on no disk
            following.follow(collection, row)

    def _leave(self, collection: str, folder: str | None, request_id: int) -> None:
        with self._starting:  # what begins while we look would be missed
            pass
        for request, cancel in list(self._mirrors.values()):
            if request.collection == collection and folder in (None, request.folder):
                self._left.add(request.id)
                cancel.cancel()
        try:
            if self._following is not None:
                rows = self._library.collection(collection).documents.folders()
                self._following.leave([row.id for row in rows if folder in (None, row.path)])
        except UnknownCollection:
            _log.info("the collection is gone already")
        self._write({"left": request_id})

    def _started(self) -> tuple[Pipeline, Following]:
        with self._starting:
            if self._pipeline is None or self._following is None:
                self._pipeline = Pipeline(
                    self._library, self._pool, self._open_embedder(), readers=self._setup.parsers, report=self._say
                )
                self._following = Following(self._pipeline, self._say, rescan_s=self._setup.rescan_s)
            return self._pipeline, self._following

    def _open_embedder(self) -> Embedder:
        entry, cache = load_catalog().entry(self._setup.embedder), Path(self._setup.weights_cache)
        folder = ensure(entry, cache, fetch=False)
        if self._setup.lent_embedder:
            return LentEmbedder(folder, self._loans)
        devices = replace(detect(), cores=self._setup.threads)
        embedder, reason = open_embedder(
            entry, folder, devices, device="cpu", why="as questions go first", exact=self._setup.exact_vectors
        )
        _log.info("embedder: %s", reason)
        return embedder

    def _say(self, event: IngestEvent) -> None:
        self._write(to_json(event))

    def _write(self, message: Message) -> None:
        line = json.dumps(message)
        with self._output_lock:
            self._output.write(line + "\n")
            self._output.flush()


def main() -> None:
    # A library's print must not break the protocol: the real standard output is kept for events alone.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if hasattr(os, "nice"):
        os.nice(10)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    scratch.sweep()
    worker = Worker(WorkerSetup(**json.loads(sys.stdin.readline())), output)
    for line in sys.stdin:
        worker.take(json.loads(line))
    worker.close()
    os._exit(0)  # the database needs no farewell, and threads may hang on a disk that does not answer


if __name__ == "__main__":
    main()
