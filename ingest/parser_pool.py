"""Files to pages through a few sandboxed processes: streamed, limited in time and memory, and stopped at once."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ingest import messages
from ingest.elements import Page, Summary
from ingest.errors import LimitReached, ParserDied, ParserKilled, ParserUnavailable
from ingest.formats import Format
from ingest.limits import Limits
from ingest.messages import BadMessage, Message
from ingest.network_ban import NetworkBan
from ingest.parser_child import ParserChild
from ingest.plain_file import FileIdentity
from ingest.sandbox import SandboxReport
from ingest.task import OcrOptions
from models.cancellation import CancelToken

logger = logging.getLogger(__name__)

POLL_S = 0.1


class ParserPool:
    """Up to `size` parser processes, started when first needed; thread-safe. Close it when done.

    A process is replaced after `recycle_files` files, or when it still holds more than `recycle_bytes` after one.
    """

    def __init__(
        self,
        size: int,
        limits: Limits,
        *,
        recycle_files: int = 200,
        recycle_bytes: int = 800 << 20,
        niceness: int = 10,
        network: NetworkBan = "namespace",
        ocr: OcrOptions | None = None,
    ) -> None:
        self._limits = limits
        self.ocr = ocr or OcrOptions()
        self._recycle_files = recycle_files
        self._recycle_bytes = recycle_bytes
        self._niceness = niceness
        self._network: NetworkBan = network
        self._lock = threading.Lock()
        self._children: set[ParserChild] = set()
        self._closed = False
        # Last in, first out: a warm process is taken before an empty slot.
        self._slots: queue.LifoQueue[ParserChild | None] = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)
        # Children die with the thread that starts them, so one thread starts them all and lives as long as the pool.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="parser-start")
        self.peak_bytes = 0

    def parse(
        self,
        path: Path,
        format: Format,
        cancel: CancelToken,
        *,
        first_page: int = 0,
        identity: FileIdentity | None = None,
    ) -> Generator[Page | Summary]:
        """Pages from `first_page` (from 0) on as they are read, then one Summary. With `identity`, of that file only,
        whatever the path leads to meanwhile. Raises what the reader raises (Encrypted, Unreadable, NotNow, …),
        ParserDied when the file killed its process, ParserKilled when the system did, and `Cancelled`, upon which the
        process is gone too."""
        request = messages.encode_task(os.path.abspath(path), format.reader, self.ocr, first_page, identity)
        started = time.monotonic()
        with self._borrow(cancel) as child, cancel.closing(lambda: child.kill("cancelled")):
            yield from self._pages(child, request)
            logger.info("parsed %s in %d ms", format.identity, 1000 * (time.monotonic() - started))

    def render_page(self, path: Path, page_number: int, width_px: int, cancel: CancelToken | None = None) -> bytes:
        """A PNG of a PDF's page, counted from 1. Raises as `parse` does."""
        cancel = cancel or CancelToken()
        request: Message = {
            "render": {"path": os.path.abspath(path), "page_number": page_number, "width_px": width_px},
        }
        with self._borrow(cancel) as child, cancel.closing(lambda: child.kill("cancelled")):
            for message in child.ask(request):
                if "error" in message:
                    raise messages.decode_error(message["error"])
                if "image" in message:
                    return messages.decode_image(message["image"])
            raise BadMessage("no image came")

    def sandbox(self) -> SandboxReport:
        """What holds in the parser processes, said by one of them."""
        with self._borrow(CancelToken()) as child:
            return child.sandbox

    def process_ids(self) -> tuple[int, ...]:
        with self._lock:
            return tuple(child.process_id for child in self._children)

    def close(self) -> None:
        """End every process, in the middle of a file if need be. The pool cannot be used again."""
        with self._lock:
            self._closed = True
            children = list(self._children)
        for child in children:
            child.kill("the parser pool was closed")
        self._starter.shutdown(wait=True)
        with self._lock:
            children, self._children = list(self._children), set()
        for child in children:
            child.close()

    def _pages(self, child: ParserChild, request: Message) -> Iterator[Page | Summary]:
        limits = self._limits
        pages = characters = 0
        for message in child.ask(request):
            if "page" in message:
                page = messages.decode_page(message["page"], limits)
                pages, characters = pages + 1, characters + len(page.text)
                if pages > limits.pages or characters > limits.characters:
                    raise LimitReached(
                        f"More than {limits.pages:,} pages or {limits.characters:,} characters in one file."
                    )
                yield page
            elif "summary" in message:
                yield messages.decode_summary(message["summary"])
            else:
                raise messages.decode_error(message.get("error"))

    @contextmanager
    def _borrow(self, cancel: CancelToken) -> Iterator[ParserChild]:
        slot = self._free_slot(cancel)
        child: ParserChild | None = None
        try:
            child = slot if slot is not None and slot.alive else self._fresh(slot)
            yield child
        except (ParserDied, ParserKilled) as exc:
            cancel.check()
            logger.warning("a parser process died: %s", exc)
            raise
        except BadMessage as exc:
            raise ParserDied(f"the parser process broke the protocol: {exc}") from exc
        finally:
            self._slots.put(self._kept(child))

    def _free_slot(self, cancel: CancelToken) -> ParserChild | None:
        while True:
            cancel.check()
            if self._closed:
                raise ParserUnavailable("The parser pool is closed.")
            try:
                return self._slots.get(timeout=POLL_S)
            except queue.Empty:
                continue

    def _fresh(self, dead: ParserChild | None) -> ParserChild:
        if dead is not None:
            self._discard(dead)
        try:
            return self._starter.submit(self._start).result()
        except RuntimeError as exc:  # the executor's word for "shut down"
            raise ParserUnavailable("The parser pool is closed.") from exc

    def _start(self) -> ParserChild:
        child = ParserChild(self._limits, niceness=self._niceness, network=self._network)
        with self._lock:
            self._children.add(child)
        return child

    def _kept(self, child: ParserChild | None) -> ParserChild | None:
        """The child if it may serve again. One that was left in the middle of a file (an error here, a caller who
        stopped listening) is ended: nobody would read the rest of its answer."""
        if child is None:
            return None
        self.peak_bytes = max(self.peak_bytes, child.peak_bytes)
        worn = child.files_read >= self._recycle_files or child.resident_bytes > self._recycle_bytes
        if child.idle and child.alive and not worn and not self._closed:
            return child
        self._discard(child)
        return None

    def _discard(self, child: ParserChild) -> None:
        with self._lock:
            self._children.discard(child)
        child.close()
