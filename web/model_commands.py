"""The `models` commands at the terminal: what the catalog has, fetch it, check it; `models plan` has its own module."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.catalog import Catalog, Entry


def run_models(action: str, name: str | None, cache: Path, *, as_json: bool) -> int:
    """`list`, `pull NAME` (the embedded models without a name) or `verify`; returns the exit status."""
    from models.catalog import load_catalog

    catalog = load_catalog()
    entries = [catalog.entry(name)] if name else []
    if action == "pull":
        return _pull(entries or list(catalog.embedded()), cache, as_json)
    if action == "verify":
        return _verify(entries or _installed(catalog, cache), cache, as_json)
    return _list(catalog, cache, as_json)


def _list(catalog: Catalog, cache: Path, as_json: bool) -> int:
    from models.download import list_models

    rows = list_models(catalog, cache)
    if as_json:
        print(json.dumps({"models": [asdict(row) for row in rows]}, default=str))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("", "model", "kind", "MB", "what it is", box=None, pad_edge=False)
    table.columns[1].no_wrap, table.columns[3].justify = True, "right"
    for row in rows:
        mark = "[green]✓[/]" if row.installed else ""
        table.add_row(mark, row.name, row.kind, f"{row.bytes / 1e6:.0f}", f"{row.summary} ({row.licence})")
    Console(highlight=False).print(table)
    print(f"✓ is in the cache, {cache}. Fetch another: python app.py models pull NAME")
    return 0


def _pull(entries: list[Entry], cache: Path, as_json: bool) -> int:
    from models.download import ensure, missing_files

    fetched = []
    for entry in entries:
        missing = bool(missing_files(entry, cache))
        folder = _ensure_with_bar(entry, cache) if missing else ensure(entry, cache, fetch=False)
        fetched.append({"name": entry.name, "folder": str(folder), "fetched": missing})
        print(f"{entry.name}: {'fetched' if missing else 'already there'}, {folder}", file=sys.stderr)
        print(f"{entry.attribution}; {entry.licence}", file=sys.stderr)
    if as_json:
        print(json.dumps({"models": fetched}))
    return 0


def _ensure_with_bar(entry: Entry, cache: Path) -> Path:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from models.download import ensure

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(entry.name, total=entry.total_bytes)
        return ensure(entry, cache, progress=lambda _, done, total: progress.update(task, completed=done, total=total))


def _verify(entries: list[Entry], cache: Path, as_json: bool) -> int:
    """Hash every file again; the exit status is 1 when one is not what the catalog names."""
    from models.download import verify

    checks = [check for entry in entries for check in verify(entry, cache)]
    if as_json:
        print(json.dumps({"files": [asdict(check) for check in checks]}))
    else:
        for check in checks:
            print(f"{check.model}/{check.path}: {check.problem or 'as the catalog names it'}")
    return int(any(check.problem for check in checks))


def _installed(catalog: Catalog, cache: Path) -> list[Entry]:
    from models.download import model_folder

    return [entry for entry in catalog.entries if model_folder(entry, cache).is_dir()]
