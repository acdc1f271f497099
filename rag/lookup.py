"""What is known of one file, and the answer to "why can't I find this?" in sentences for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from indexes.collection import Collection
from indexes.contents import StoredElement
from indexes.records import DocumentRow, FolderRow
from ingest.events import FolderState
from rag.durations import roughly
from rag.errors import NotFound
from rag.file_paths import as_stored, find_documents
from rag.lookup_disk import folder_gone, on_disk, unknown_file
from rag.status import Waiting, waiting

UNKNOWN = "unknown"
_DOUBTFUL = 0.8
_HINT_WORDS = 6
_NOT_READ = {"skipped": "Skipped", "failed": "It could not be read", "quarantined": "Set aside"}
_REMEDIES = {
    "failed": "Mend or replace the file and it is read again; or try it as it is: `python app.py queue retry {path}`.",
    "quarantined": "It is left alone until the file changes, or until you say `python app.py queue retry {path}`.",
}
_LIMIT = re.compile(r"\blimits?\b|\bare allowed\b|^More than |out of memory", re.IGNORECASE)
_SPLIT = "Limits keep one file from taking the whole machine; split into smaller files, each has them for itself."


@dataclass(frozen=True)
class FileReport:
    """`state` is "unknown" for a file that the index does not know. `why` says in sentences whether it can be found,
    and why not. `omissions` are (what, reason) of what was found in the file and not read."""

    path: str
    folder: str | None
    state: str
    reason: str | None
    version: int | None
    findable: bool
    why: tuple[str, ...]
    pages_indexed: int = 0
    pages_total: int = 0
    chunks: int = 0
    chunks_embedded: int = 0
    characters: int = 0
    omissions: tuple[tuple[str, str], ...] = ()
    elements: tuple[StoredElement, ...] = ()
    waiting: Waiting | None = None


def look_up(
    collection: Collection,
    path: str,
    states: Mapping[str, FolderState],
    now: float,
    absolute: str | None = None,
    *,
    working: bool = True,
) -> FileReport:
    """`path` is relative to a folder of the collection or absolute; `absolute` is what it is for who asks, whose
    current folder may be another. `states` has the folders that are followed, by path; `working`: an ingest process
    lives. Raises BadInput, and NotFound for a path that is neither known nor on the disk."""
    folders = {folder.id: folder for folder in collection.documents.folders()}
    try:
        row, *others = find_documents(collection, path, absolute)
    except NotFound:
        if not (why := unknown_file(list(folders.values()), path, absolute, states, now, collection.name)):
            raise
        return FileReport(as_stored(path), None, UNKNOWN, None, None, False, tuple(why))
    alike = [f"{folders[other.folder_id].path}/{other.path}" for other in others]
    waits = waiting(row, now, working=working)
    return _report(collection, folders[row.folder_id], row, waits, alike, states, now)


def report_json(report: FileReport) -> dict[str, object]:
    """The shape of `show --json`."""
    fields = asdict(report)
    pages = {"indexed": fields.pop("pages_indexed"), "total": fields.pop("pages_total")}
    omissions = [{"what": what, "reason": reason} for what, reason in fields.pop("omissions")]
    return {**fields, "pages": pages, "omissions": omissions, "elements": fields["elements"]}


def _report(
    collection: Collection,
    folder: FolderRow,
    row: DocumentRow,
    waits: Waiting | None,
    alike: Sequence[str],
    states: Mapping[str, FolderState],
    now: float,
) -> FileReport:
    content = row.content_id
    elements = tuple(collection.contents.elements(content)) if content is not None else ()
    omissions = tuple(collection.contents.omissions(content)) if content is not None else ()
    embedded = collection.vectors.embedded(content) if content is not None else 0
    gone = folder_gone(folder, states.get(folder.path))
    sentences = [
        *_alike(folder, row, alike),
        *([gone] if gone else []),
        *(_in_the_queue(collection, folder, row, waits, states) if waits else ()),
        *_not_read(row, waits),
        *_read(row, embedded, elements, omissions),
        *(() if gone else on_disk(folder, row, now)),
    ]
    return FileReport(
        path=row.path,
        folder=folder.path,
        state=row.state,
        reason=row.reason,
        version=row.version,
        findable=row.chunks > 0,
        why=tuple(sentences),
        pages_indexed=row.pages_indexed,
        pages_total=row.pages_total,
        chunks=row.chunks,
        chunks_embedded=embedded,
        characters=row.characters,
        omissions=omissions,
        elements=elements,
        waiting=waits,
    )


def _alike(folder: FolderRow, row: DocumentRow, others: Sequence[str]) -> Iterator[str]:
    if others:
        yield f"This is {folder.path}/{row.path}. Other folders have such a path, too: {', '.join(others)}."


def _in_the_queue(
    collection: Collection, folder: FolderRow, row: DocumentRow, waits: Waiting, states: Mapping[str, FolderState]
) -> Iterator[str]:
    since = f" (for {roughly(waits.since_s)})" if waits.state == "waiting" else ""
    subject = "" if row.version is not None else "it was " if waits.state == "retrying" else "it is "
    said = subject + waits.said
    yield f"{said[:1].upper()}{said[1:]}{since}."
    if row.version is not None:
        yield f"Until then version {row.version} is found."
    if collection.paused:
        yield f"The collection {collection.name!r} is paused: `python app.py queue resume` has its files read."
    elif folder.path not in states and waits.state != "reading":
        yield f"Nobody follows its folder now: `python app.py ingest {folder.path}` reads it, and so does `serve`."


def _not_read(row: DocumentRow, waits: Waiting | None) -> Iterator[str]:
    if row.state == "pending" and row.queued is None:
        yield "It was seen, and is not yet in the queue: the look at its folder is still under way, or broke off."
    if row.state not in ("skipped", "failed", "quarantined"):
        return
    reason = (row.reason or "no reason was noted").rstrip(".")
    if waits is not None:  # what is said of it now stands before this
        yield f"The last time it was not read: {reason}."
        return
    yield f"{_NOT_READ[row.state]}: {reason}."
    if row.state == "failed" and not row.size_bytes:
        yield "There is nothing in it to read. Once something is written to it, it is read."
    elif row.state == "failed" and _LIMIT.search(reason):
        yield _SPLIT
    elif row.state in _REMEDIES:
        yield _REMEDIES[row.state].format(path=row.path) + (f" {_SPLIT}" if _LIMIT.search(reason) else "")


def _read(
    row: DocumentRow,
    embedded: int,
    elements: Sequence[StoredElement],
    omissions: Sequence[tuple[str, str]],
) -> Iterator[str]:
    if row.version is None:
        return
    if not row.chunks:
        yield "It was read, and no text was found in it that could be searched."
    for what, reason in omissions:
        yield f"Not read: {what}: {reason.rstrip('.')}."
    if any(_LIMIT.search(reason) for _, reason in omissions):
        yield _SPLIT
    if row.pages_indexed < row.pages_total:
        missing = _missing_pages(row, elements)
        yield f"{row.pages_indexed:,} of {row.pages_total:,} pages have text that can be found{missing}."
    if embedded < row.chunks:
        yield (
            f"It is found by its words; the search by meaning follows: {embedded:,} of {row.chunks:,} passages have "
            "their vectors."
        )
    doubtful = [element.confidence for element in elements if element.confidence is not None]
    if doubtful and (mean := sum(doubtful) / len(doubtful)) < _DOUBTFUL:
        yield f"Text was recognised in its pictures, with a confidence of {mean:.0%}: some words may be wrong."
    if row.chunks:
        passages = "1 passage of it is" if row.chunks == 1 else f"{row.chunks:,} passages of it are"
        hint = _first_words(elements)
        yield f"{passages} searched. Try words that stand in it{f', such as: {hint}' if hint else ''}."


def _missing_pages(row: DocumentRow, elements: Sequence[StoredElement]) -> str:
    """ "; without: 3–5, 9", where the file itself has numbered pages."""
    if any(element.part for element in elements) or row.pages_total > 100_000:
        return ""
    read = {element.page for element in elements if element.page}
    if len(read) != row.pages_indexed:
        return ""
    missing = [page for page in range(1, row.pages_total + 1) if page not in read]
    return f"; without text: {_ranges(missing)}"


def _ranges(numbers: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    said = [str(first) if first == last else f"{first}–{last}" for first, last in runs]
    return ", ".join(said[:12]) + (" and more" if len(said) > 12 else "")


def _first_words(elements: Sequence[StoredElement]) -> str:
    """Words of the first paragraph, which are likelier than a title to tell this file from others."""
    kinds = ("paragraph", "list_item", "table", "title", "heading", "code", "picture")
    text = next((element.text for kind in kinds for element in elements if element.kind == kind), "")
    words = " ".join(text.replace("|", " ").split()[:_HINT_WORDS])
    return f"“{words}”" if words else ""
