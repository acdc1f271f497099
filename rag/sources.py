"""What a citation stands on: its page's text as it was read, the place on it, and its picture while the file is as it
was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from indexes.collection import Collection
from indexes.contents import StoredPage
from indexes.records import DocumentRow
from ingest.errors import IngestError
from ingest.parser_pool import ParserPool
from rag.citations import rectangles
from rag.conversations import StoredCitation
from rag.errors import NotFound
from rag.events import Citation


@dataclass(frozen=True)
class Source:
    """What a citation stands on. `spans` are characters of `page_text`; `rectangles` are (left, top, right, bottom) as
    shares of the page; `banner` says that the file is no longer what it was."""

    citation: Citation
    page_text: str
    spans: tuple[tuple[int, int], ...]
    rectangles: tuple[tuple[float, float, float, float], ...]
    has_image: bool
    heading: str
    banner: str | None


def source_of(cited: StoredCitation, collection: Collection) -> Source:
    """Raises NotFound when the text is no longer kept."""
    page = collection.contents.page(cited.page_id)
    if page is None:
        raise NotFound("The text of this page is no longer kept.")
    row = collection.documents.get(cited.document_id)
    path = collection.documents.absolute_path(cited.document_id)
    return Source(
        citation=cited.citation,
        page_text=page.text,
        spans=((cited.start, cited.end),),
        rectangles=rectangles(page, cited.start, cited.end),
        has_image=_has_picture(cited, page) and _is_as_cited(row, cited.content_id) and _is_on_disk(row, path),
        heading=cited.heading,
        banner=_banner(row, path, cited.content_id),
    )


def page_image_of(cited: StoredCitation, collection: Collection, previews: ParserPool, width_px: int) -> bytes:
    """The cited page as PNG. Raises NotFound when the file is gone or is not what was cited."""
    row = collection.documents.get(cited.document_id)
    path = collection.documents.absolute_path(cited.document_id)
    if path is None or not _is_as_cited(row, cited.content_id) or not _is_on_disk(row, path):
        raise NotFound("The file has changed or gone since this answer, so its page cannot be shown.")
    try:
        return previews.render_page(path, cited.citation.page or 1, width_px)
    except IngestError as exc:
        raise NotFound(f"The page cannot be shown: {exc}") from exc


def _has_picture(cited: StoredCitation, page: StoredPage) -> bool:
    """Pages are drawn from the file on the disk; what lies packed inside of it has no picture."""
    return bool(page.lines) and cited.citation.part is None


def _is_on_disk(row: DocumentRow | None, path: Path | None) -> bool:
    """Is the file still as it was when it was last looked at?"""
    try:
        status = path.stat() if path else None
    except OSError:
        return False
    return bool(row and status and (row.size_bytes, row.mtime_ns) == (status.st_size, status.st_mtime_ns))


def _is_as_cited(row: DocumentRow | None, content_id: int) -> bool:
    return row is not None and row.content_id == content_id


def _banner(row: DocumentRow | None, path: Path | None, content_id: int) -> str | None:
    if row is None:
        return "The file is no longer in its folder. This is its text as it was read for this answer."
    if not _is_as_cited(row, content_id):
        return "The file has changed since this answer. This is its text as it was read then."
    if not _is_on_disk(row, path):
        return "The file on the disk is no longer the one that was read. This is its text as it was read."
    return None
