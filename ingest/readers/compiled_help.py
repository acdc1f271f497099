"""Compiled help of Windows (.chm): its pages of HTML, in the order of its table of contents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ingest.elements import Omission, Page, Summary
from ingest.errors import LimitReached, Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.readers.decoding import decode
from ingest.readers.html import DECLARED, add_html
from ingest.task import Task

PAGES = (".htm", ".html", ".xhtml", ".txt")
CONTENTS_ENTRY = re.compile(rb"name=[\"']?Local[\"']?\s+value=[\"']([^\"'>]+)", re.IGNORECASE)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """`part` is the page's name inside of the help. Raises Unreadable, LimitReached."""
    import pylibmspack

    try:
        archive = pylibmspack.ChmArchive(str(path))
        names = {_plain(file["name"]): file for file in archive.files()}
    except pylibmspack.MspackError as exc:
        raise Unreadable(f"{path.name} is damaged: it cannot be opened as compiled help ({exc}).") from exc
    _check(path, names, task)
    yield from _read(path, archive, {name: file["name"] for name, file in names.items()})


def _check(path: Path, names: dict[str, Any], task: Task) -> None:
    unpacked = sum(file["size"] for file in names.values())
    if len(names) > task.limits.entries or unpacked > task.limits.unpacked_bytes:
        raise LimitReached(
            f"{path.name} unpacks to {len(names):,} entries of {unpacked:,} bytes; {task.limits.entries:,} entries and "
            f"{task.limits.unpacked_bytes:,} bytes are allowed."
        )


def _read(path: Path, archive: Any, names: dict[str, str]) -> Iterator[Page | Summary]:
    import pylibmspack

    title: str | None = None
    damaged: list[str] = []
    pages = _ordered(archive, names)
    for name in pages:
        try:
            content = archive.read(names[name])
        except pylibmspack.MspackError:
            damaged.append(name)
            continue
        assembly = PageAssembly(None, name)
        declared = DECLARED.search(content[:4096])
        source = decode(content, name, declared.group(1).decode("ascii") if declared else None)
        page_title, _ = add_html(source, assembly)
        title = title or page_title
        if not assembly.empty:
            yield assembly.page()
    if len(damaged) == len(pages):
        raise Unreadable(f"{path.name} holds no page that can be read.")
    lost = (Omission(f"{len(damaged)} pages", f"damaged: {', '.join(damaged[:5])}"),) if damaged else ()
    yield Summary(title, len(pages), lost)


def _ordered(archive: Any, names: dict[str, str]) -> list[str]:
    """Pages that the table of contents lists first, in its order; then all others by name."""
    import pylibmspack

    listed: list[str] = []
    for name in names:
        if name.lower().endswith(".hhc"):
            try:
                entries = CONTENTS_ENTRY.findall(archive.read(names[name]))
            except pylibmspack.MspackError:
                continue
            listed += (_plain(unquote(entry.decode("latin-1")).partition("#")[0]) for entry in entries)
    pages = [name for name in sorted(names) if name.lower().endswith(PAGES)]
    known = set(pages)
    return list(dict.fromkeys([*(name for name in listed if name in known), *pages]))


def _plain(name: str) -> str:
    return name.replace("\\", "/").lstrip("/")
