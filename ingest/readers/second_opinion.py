"""A second opinion: what our own reader of a format fails on, `unstructured` is asked about.

Our own readers come first, because they lose less and are many times faster (docs/decisions/0006-reading.md). When one
of them fails before its first page, or finds no text, `unstructured`'s partitioner for that format is asked.
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from ingest.elements import Omission, Page, Summary
from ingest.errors import Encrypted, IngestError, LimitReached, NotNow, Unsupported
from ingest.plain_file import passing_cause
from ingest.readers.containers import check_container
from ingest.task import Task

log = logging.getLogger(__name__)

Read = Callable[[Path, Task], Iterator[Page | Summary]]

NO_ATTACHMENTS: dict[str, object] = {"process_attachments": False}
PARTITIONERS: Mapping[str, tuple[str, dict[str, object]]] = MappingProxyType(
    {
        "word": ("docx", {}),
        "slides": ("pptx", {"include_slide_notes": True}),
        "spreadsheet": ("xlsx", {"find_subtable": False}),
        "opendocument": ("odt", {}),
        "epub": ("epub", {}),
        "rtf": ("rtf", {}),
        "html": ("html", {}),
        "xml": ("xml", {}),
        "markdown": ("md", {}),
        "table": ("csv", {}),
        "message": ("email", NO_ATTACHMENTS),
        "outlook": ("msg", NO_ATTACHMENTS),
        "marked": ("rst", {}),
    }
)
"""By the name of our reader: `unstructured.partition.NAME.partition_NAME`, and its options."""
BY_SUFFIX = {"marked": {".rst": "rst", ".org": "org"}, "table": {".tsv": "tsv", ".tab": "tsv"}}
# An empty language switches its guess off, which needs a second and has no use here.
OPTIONS: dict[str, object] = {"languages": [""]}
# What these errors say is the file's whole story, or may be otherwise in a moment.
FINAL = (Encrypted, Unsupported, LimitReached, NotNow, MemoryError)
# It reads 300,000 bytes of a Word file a second: more could take longer than a parser may be silent.
MOST_BYTES = 8 << 20
TEXT_PARTS = (".xml", ".xhtml", ".html", ".htm")
SENTENCE_MODEL = "en_core_web_sm"


def read_with_second_opinion(name: str, read: Read, path: Path, task: Task) -> Iterator[Page | Summary]:
    """What `read`, the reader of that name, yields; else what `unstructured` finds. Raises `read`'s failure when both
    fail."""
    failure: Exception | None = None
    summary: Summary | None = None
    found = False
    try:
        for item in read(path, task):
            if isinstance(item, Summary):
                summary = item
            else:
                found = found or bool(item.text.strip())
                yield item
    except FINAL:
        raise
    except Exception as exc:  # a reader's bug must not cost the user the file
        if found or passing_cause(exc):
            raise
        failure = exc
    if not found and (pages := _asked(name, path, task)):
        yield from pages
        summary = _summary(pages, name, failure)
    elif failure is not None:
        raise failure
    if summary is not None:
        yield summary


def _summary(pages: Sequence[Page], name: str, failure: Exception | None) -> Summary:
    why = _reason(failure) if failure is not None else "it found no text"
    said = f"read by the general reader, after its own reader failed ({why}): it may be less exact"
    omissions = [Omission("structure", said)]
    if PARTITIONERS[name][1] is NO_ATTACHMENTS:
        omissions.append(Omission("attachments", "the general reader does not open them"))
    headings = (page.text[one.start : one.end] for page in pages for one in page.elements if one.kind == "heading")
    total = max(len(pages), *(page.number or 0 for page in pages))
    return Summary(next(headings, None), total, tuple(omissions))


def _reason(failure: Exception) -> str:
    first = (str(failure).splitlines() or [""])[0][:200]
    return first.rstrip(".") if isinstance(failure, IngestError) else f"{type(failure).__name__}: {first}".rstrip(": ")


def _asked(name: str, path: Path, task: Task) -> list[Page]:
    """What `unstructured` finds; nothing when it fails too, or has nothing for that format."""
    from ingest.readers.partitioned import pages_of

    format, options = PARTITIONERS[name]
    if name in BY_SUFFIX:
        format = BY_SUFFIX[name].get(path.suffix.lower(), "csv" if name == "table" else "")
    try:
        if not format or _is_large(path, task):
            return []
        return list(pages_of(format, _elements(format, path, options)))
    except MemoryError:
        raise
    except Exception as exc:  # the edge of a library that fails in any way it likes; the first failure is told
        log.info("no second opinion on a file of the format %s: %s", format, type(exc).__name__)
        return []


def _is_large(path: Path, task: Task) -> bool:
    """Raises what `check_container` raises."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if not zipped:
        return path.stat().st_size > MOST_BYTES
    check_container(path, task.limits)
    with zipfile.ZipFile(path) as container:
        parts = [entry for entry in container.infolist() if entry.filename.lower().endswith(TEXT_PARTS)]
    return sum(part.file_size for part in parts) > MOST_BYTES


def _elements(format: str, path: Path, options: Mapping[str, object]) -> list[Any]:
    """Its partitioner is called by its name: `partition.auto` would guess the format anew, with other libraries."""
    path = path.resolve()
    with warnings.catch_warnings(), _without_torch(), _sentence_model():
        warnings.simplefilter("ignore")
        partition = getattr(importlib.import_module(f"unstructured.partition.{format}"), f"partition_{format}")
        try:
            return list(partition(filename=str(path), **OPTIONS, **options))
        except (KeyError, ValueError):
            if format != "docx":
                raise
            return _by_pandoc(format, path)


def _by_pandoc(format: str, path: Path) -> list[Any]:
    """python-docx knows neither the strict variant nor templates nor files with macros; pandoc does."""
    from unstructured.file_utils.file_conversion import convert_file_to_html_text_using_pandoc
    from unstructured.partition.html import partition_html

    return list(partition_html(text=convert_file_to_html_text_using_pandoc(format, filename=str(path)), **OPTIONS))


@contextmanager
def _sentence_model() -> Iterator[None]:
    """Keep `unstructured` from downloading a language model, and from needing one.

    It asks spaCy for `en_core_web_sm` to tell prose from titles by their verbs, and fetches it from the web when it is
    not there. We take kinds from styles and tags alone, so a pipeline that only splits sentences does: spaCy takes a
    folder of that name in the current folder, which is one of our own for the while. Parsers have one thread.
    """
    import spacy

    splitter = spacy.blank("en")
    splitter.add_pipe("sentencizer")
    with TemporaryDirectory(prefix="sentences-") as folder, chdir(folder):
        splitter.to_disk(SENTENCE_MODEL)
        yield


@contextmanager
def _without_torch() -> Iterator[None]:
    """spaCy loads torch where it is installed, for models that are not used here; it costs memory and seconds."""
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]  # None is Python's own sign for "not to be had"
    hidden = "torch" not in modules
    if hidden:
        modules["torch"] = None
    try:
        yield
    finally:
        if hidden:
            del modules["torch"]
