"""The ingest process: `python -m ingest.worker`. Mirrors folders at low priority, so that questions stay quick.

Speaks JSON lines: the first line on standard input is the set-up, each further one a request or an answer; events go
to standard output, and so does what the parent is asked to embed. It ends with its parent: the end of standard input is
its own end, at once, and the database is whole at any moment.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import IO

from indexes.database import Database
from indexes.errors import StorageError
from indexes.library import Library
from ingest.errors import IngestError
from ingest.events import IngestEvent, MirrorFailed, to_json
from ingest.lent_embedder import LentEmbedder, Loans, Message
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.pipeline import Pipeline
from ingest.requests import MirrorRequest, WorkerSetup
from models.cancellation import Cancelled, CancelToken
from models.catalog import load_catalog
from models.devices import detect
from models.download import ensure
from models.embedding.opening import open_embedder
from models.errors import ModelError
from models.interfaces import Embedder

_log = logging.getLogger(__name__)


class Worker:
    """Takes requests one after the other; each can be cancelled by its id, before it begins or in the middle."""

    def __init__(self, setup: WorkerSetup, output: IO[str]) -> None:
        self._setup = setup
        self._output = output
        self._output_lock = threading.Lock()
        self._requests: queue.SimpleQueue[tuple[MirrorRequest, CancelToken]] = queue.SimpleQueue()
        self._cancels: dict[int, CancelToken] = {}
        self._library = Library(Database(Path(setup.database)), Path(setup.index_cache))
        self._pool = ParserPool(setup.parsers, Limits())
        self._loans = Loans(self._write)
        self._embedder: Embedder | None = None

    def take(self, message: Message) -> None:
        """One line of the parent's."""
        if "mirror" in message:
            request, cancel = MirrorRequest(**message["mirror"]), CancelToken()
            self._cancels[request.id] = cancel
            self._requests.put((request, cancel))
        elif "cancel" in message:
            if cancel_one := self._cancels.get(message["cancel"]):
                cancel_one.cancel()
        else:
            self._loans.take(message)

    def run(self) -> None:
        """Serve requests for ever; the process ends from outside."""
        while True:
            request, cancel = self._requests.get()
            event = self._mirror(request, cancel)
            del self._cancels[request.id]
            self._say(request, event)

    def close(self) -> None:
        """Stop what is under way, then the parsers: that they ended is no fault of the files that they read."""
        for cancel in list(self._cancels.values()):
            cancel.cancel()
        self._pool.close()

    def _mirror(self, request: MirrorRequest, cancel: CancelToken) -> IngestEvent:
        def failed(code: str, message: str) -> MirrorFailed:
            return MirrorFailed(request.collection, request.folder, code, message)

        try:
            cancel.check()
            return self._pipeline(request.collection).mirror(
                Path(request.folder),
                hidden=request.hidden,
                report=lambda event: self._say(request, event),
                cancel=cancel,
            )
        except Cancelled:
            return failed("cancelled", "Stopped on request; what was read so far stays, and the next run goes on.")
        except IngestError as exc:
            return failed(exc.code, str(exc))
        except (StorageError, ModelError) as exc:
            return failed("not_ready", str(exc))
        except Exception as exc:  # the edge of this process: the parent must hear of it, and the next request be served
            _log.exception("mirroring failed")
            return failed("internal_error", f"{type(exc).__name__}: {exc}. The log of the ingest process has more.")

    def _pipeline(self, collection: str) -> Pipeline:
        if self._embedder is None:
            self._embedder = self._open_embedder()
        self._library.collection(collection)  # one that was removed meanwhile is not made again
        found = self._library.ensure(collection, embedder=self._embedder.identity, dimension=self._embedder.dimension)
        return Pipeline(found, self._pool, self._embedder, readers=self._setup.parsers)

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

    def _say(self, request: MirrorRequest, event: IngestEvent) -> None:
        self._write({"request": request.id, **to_json(event)})

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
    worker = Worker(WorkerSetup(**json.loads(sys.stdin.readline())), output)
    threading.Thread(target=worker.run, name="mirror", daemon=True).start()
    for line in sys.stdin:
        worker.take(json.loads(line))
    worker.close()
    os._exit(0)  # the database needs no farewell, and a mirror may be under way


if __name__ == "__main__":
    main()
