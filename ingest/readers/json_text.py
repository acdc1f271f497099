"""JSON and JSON lines: every value on a line of its own, with the path to it: "order.items[0].name: bolt"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.readers.assembly import PageAssembly, clean, unix_lines
from ingest.readers.decoding import read_text
from ingest.readers.plain import blocks
from ingest.task import Task


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """A file that is not JSON is read as plain text, and the summary says so."""
    text = read_text(path, task.limits)
    try:
        records = _records(text)
    except (ValueError, RecursionError):
        text = clean(text)
        yield Page(number=None, part=None, text=text, elements=tuple(blocks(text)))
        yield Summary(None, 1, (Omission("structure", "the JSON is damaged: read as plain text"),))
        return
    assembly = PageAssembly()
    title = _fill(assembly, records)
    yield assembly.page()
    yield Summary(title=title, pages_total=1)


def _records(text: str) -> list[object]:
    """One value, the values of a list, or one value a line."""
    try:
        value = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    return value if isinstance(value, list) else [value]


def _fill(assembly: PageAssembly, records: list[object]) -> str | None:
    """A paragraph for each record; a notebook's cells are its records."""
    title: str | None = None
    for record in records:
        if isinstance(record, dict) and isinstance(record.get("cells"), list) and "nbformat" in record:
            _fill_notebook(assembly, record["cells"])
            record = {key: value for key, value in record.items() if key not in ("cells", "metadata")}
        if isinstance(record, dict) and isinstance(record.get("title"), str) and len(records) == 1:
            title = record["title"]
        assembly.add("paragraph", "\n".join(_lines(record, "")))
    return title


def _fill_notebook(assembly: PageAssembly, cells: list[object]) -> None:
    from ingest.readers.markdown import add_blocks

    for cell in cells:
        if not isinstance(cell, dict):
            continue
        source = cell.get("source", "")
        text = unix_lines("".join(source) if isinstance(source, list) else str(source))
        if cell.get("cell_type") == "markdown":
            add_blocks(text, assembly)
        else:
            assembly.add("code", text)
        for output in cell.get("outputs") or []:
            assembly.add("code", "\n".join(_lines(output, "output")))


def _lines(value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        if value and all(isinstance(item, str | int | float | bool) for item in value):
            yield _line(path, ", ".join(map(str, value)))
            return
        for index, inner in enumerate(value):
            yield from _lines(inner, f"{path}[{index}]")
    else:
        yield _line(path, "" if value is None else str(value))


def _line(path: str, text: str) -> str:
    return f"{path}: {text}" if path else text
