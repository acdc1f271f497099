"""One queued file is brought up to date: looked at, hashed, built, published; or its document says why not."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

from indexes.collection import Collection
from indexes.errors import ContentGone
from indexes.records import DocumentRow, DocumentState
from ingest.chunking import CHUNKING
from ingest.content_builder import ContentBuilder
from ingest.errors import IngestError, LimitReached, NotNow, ParserDied, ParserUnavailable, Unreadable
from ingest.events import FileDone
from ingest.formats import FORMATS, NOT_READ, Format, detect
from ingest.limits import Limits
from ingest.plain_file import translated
from ingest.settling import open_for_writing
from ingest.task import OcrOptions
from ingest.walk import Found, sha256_of
from models.cancellation import CancelToken

_log = logging.getLogger(__name__)
LARGEST_BYTES = Limits().file_bytes


class Recipes:
    """Names how files are read today: by which reader, with which text recognition, cut how."""

    def __init__(self, chunking: str, ocr: OcrOptions) -> None:
        """`chunking` names the settings of the chunker."""
        self._chunking = f"{CHUNKING} {chunking}"
        # What is not read today may be by tomorrow's readers.
        known = f"{sorted(format.identity for format in FORMATS.values())} {sorted(NOT_READ)}"
        self._readers = hashlib.sha256(known.encode()).hexdigest()[:8]
        self._ocr = ocr
        self._current = {self.of(format) for format in FORMATS.values()} | {self.of(None)}

    def of(self, format: Format | None) -> str:
        """The recipe for that format, or for a file that is of none."""
        if format is None:
            return f"not read by {self._readers} · {self._chunking}"
        pictures = f" · {self._ocr.identity}" if format.pictures else ""
        return f"{format.identity}{pictures} · {self._chunking}"

    def is_current(self, recipe: str | None) -> bool:
        """Would a file read by `recipe` be read the same way today?"""
        return recipe in self._current


class FileReader:
    """Reads files of one folder into its collection; several threads may share it."""

    def __init__(self, collection: Collection, folder: str, builder: ContentBuilder, recipes: Recipes) -> None:
        self._collection = collection
        self._folder = folder
        self._builder = builder
        self._recipes = recipes

    def read(
        self,
        row: DocumentRow,
        file: Found,
        priority: int,
        *,
        patient: bool,
        on_page: Callable[[], None],
        cancel: CancelToken,
    ) -> FileDone:
        """Bring one document up to date with its file. What cannot be read is noted with its reason. Raises NotNow
        when it may be otherwise in a moment, and if `patient` also while a program has it open for writing;
        `Cancelled`, and faults that are not the file's, pass through."""
        sha256, recipe = None, self._recipes.of(None)
        try:
            if patient and open_for_writing(file.absolute):
                raise NotNow("a program is still writing it")
            if file.size_bytes > LARGEST_BYTES:
                raise LimitReached(f"It has {file.size_bytes:,} bytes; files of up to {LARGEST_BYTES:,} are read.")
            format = detect(file.absolute, file.identity)
            sha256, recipe = sha256_of(file.absolute, cancel, file.identity), self._recipes.of(format)
            if (row.sha256, row.recipe) == (sha256, recipe) and row.state != "pending":
                return self._touch(row, file)
            content_id = self._builder.content(
                file.absolute, sha256, recipe, format, identity=file.identity, on_page=on_page, cancel=cancel
            )
            _require_unchanged(file)
            return self._publish(row, file, sha256, recipe, content_id, priority)
        except ContentGone as exc:
            raise NotNow("it was read while something was being tidied up") from exc
        except (ParserUnavailable, NotNow):
            raise
        except IngestError as exc:
            _require_unchanged(file)  # half a file looks damaged
            return self._reject(row, file, sha256, recipe, exc)

    def quarantine(self, row: DocumentRow, file: Found, cause: str) -> FileDone:
        """Leave the file alone until it changes, or somebody asks for it."""
        return self._reject(row, file, None, self._recipes.of(None), ParserDied(cause))

    def _reject(
        self, row: DocumentRow, file: Found, sha256: str | None, recipe: str | None, error: IngestError
    ) -> FileDone:
        """Note that the file cannot be searched, and why."""
        self._collection.documents.reject(
            row.id,
            size_bytes=file.size_bytes,
            mtime_ns=file.mtime_ns,
            sha256=sha256,
            recipe=recipe,
            state=error.state,
            reason=str(error),
        )
        return self._done(row.path, error.state, str(error))

    def give_up(self, row: DocumentRow, file: Found, reason: str) -> FileDone:
        """Note that the file could not be read for the moment. An earlier version stays; the next look at the folder
        has it tried again."""
        if row.version is None:
            return self._reject(
                row, file, None, None, Unreadable(f"{reason}. The next look at the folder tries again.")
            )
        reason = f"{reason}: this is the version before. The next look at the folder tries again."
        self._collection.documents.keep(row.id, reason)
        return self._done(row.path, row.state, reason)

    def _publish(
        self, row: DocumentRow, file: Found, sha256: str, recipe: str, content_id: int, priority: int
    ) -> FileDone:
        self._collection.lexical.add_content(content_id)
        state, reason = self._verdict(content_id)
        self._collection.documents.publish(
            row.id,
            size_bytes=file.size_bytes,
            mtime_ns=file.mtime_ns,
            sha256=sha256,
            recipe=recipe,
            content_id=content_id,
            state=state,
            reason=reason,
            priority=priority,
        )
        return self._done(row.path, state, reason)

    def _touch(self, row: DocumentRow, file: Found) -> FileDone:
        """The file looks different but holds the same bytes: what is said of it is what they came to."""
        state, reason = self._verdict(row.content_id) if row.content_id is not None else (row.state, row.reason)
        self._collection.documents.touch(row.id, file.size_bytes, file.mtime_ns, state=state, reason=reason)
        return self._done(row.path, state, reason)

    def _verdict(self, content_id: int) -> tuple[DocumentState, str | None]:
        omissions = self._collection.contents.omissions(content_id)
        return "partial" if omissions else "indexed", "; ".join(f"{what}: {why}" for what, why in omissions) or None

    def _done(self, path: str, state: str, reason: str | None) -> FileDone:
        _log.info("file %s", state)
        return FileDone(self._collection.name, self._folder, path, state, reason)


def _require_unchanged(file: Found) -> None:
    """Raises NotNow when the file is another one now: what was read may be half of it."""
    with translated(file.absolute):
        now = file.absolute.stat()
    if (now.st_size, now.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
        raise NotNow("the file was being written while it was read")
