"""Formats that pandoc turns into HTML (rtf, odt, epub; docx that python-docx refuses), read as HTML from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import Encrypted, Unreadable
from ingest.formats import detect
from ingest.limits import Limits
from ingest.readers.assembly import PageAssembly
from ingest.readers.containers import check_container
from ingest.readers.html import add_html


def read(path: Path, limits: Limits) -> Iterator[Page | Summary]:
    yield from read_as(detect(path).name, path, limits)


def read_as(name: str, path: Path, limits: Limits) -> Iterator[Page | Summary]:
    """`name` is pandoc's own for the format. Raises Encrypted, Unreadable, LimitReached."""
    if name != "rtf":
        check_container(path, limits)
    assembly = PageAssembly()
    title, omissions = add_html(_converted(name, path), assembly)
    if assembly.empty:
        raise Unreadable(f"{path.name} holds no text.")
    yield assembly.page()
    yield Summary(title=title, pages_total=1, omissions=(*omissions, *_pictures(name)))


def _converted(name: str, path: Path) -> str:
    from unstructured.errors import UnprocessableEntityError
    from unstructured.file_utils.file_conversion import convert_file_to_html_text_using_pandoc

    try:
        return str(convert_file_to_html_text_using_pandoc(source_format=name, filename=str(path)))
    except (RuntimeError, UnprocessableEntityError) as exc:
        said = str(exc)
        if "encrypt" in said.lower():
            raise Encrypted(f"{path.name} is protected with a password. Save a copy without one.") from exc
        detail = next((line for line in said.splitlines() if line.strip()), "no reason given")
        raise Unreadable(f"{path.name} is damaged: pandoc cannot convert it ({detail[:200]}).") from exc


def _pictures(name: str) -> tuple[Omission, ...]:
    # pandoc leaves the running heads of these formats out, and says nothing of it.
    return (Omission("headers and footers", f"the converter for {name} leaves them out"),) if name == "odt" else ()
