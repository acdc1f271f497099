"""What one section found, kept in a file after each finding, so that a crash loses nothing that was measured."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Missing(Exception):
    """What a measurement needs is not on this machine; the message says what."""


class Report:
    """Tables, notes, and what was skipped or failed. A cell is a number, a text, or None where nothing was measured."""

    def __init__(self, section: str, file: Path) -> None:
        self._file = file
        self.found: dict[str, Any] = {"name": section, "tables": {}, "notes": [], "skipped": [], "failed": []}

    def row(self, table: str, **cells: object) -> None:
        """Add a row. Its keys are the columns, with their units in their names."""
        self.found["tables"].setdefault(table, []).append(cells)
        said = ", ".join(f"{name} {text_of(cell)}" for name, cell in cells.items())
        print(f"  {table}: {said}", file=sys.stderr, flush=True)
        self._keep()

    def note(self, text: str) -> None:
        self.found["notes"].append(text)
        self._keep()

    def skip(self, what: str, why: str) -> None:
        self.found["skipped"].append({"what": what, "why": why})
        print(f"  skipped: {what}, because {why}", file=sys.stderr, flush=True)
        self._keep()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """One measurement: what is missing is noted as skipped, any other error as failed, and the next one goes on."""
        try:
            yield
        except (Missing, ImportError) as exc:
            self.skip(what, str(exc))
        except Exception as exc:  # the edge: whatever a library raises must not end the measurements that follow
            traceback.print_exc()
            self.found["failed"].append({"what": what, "why": f"{type(exc).__name__}: {exc}"})
            self._keep()

    def _keep(self) -> None:
        """Whole or not at all, since the process may be ended at any moment."""
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(self.found), encoding="utf-8")
        partial.replace(self._file)


def read_found(section: str, file: Path) -> dict[str, Any]:
    """What a section left in its file, nothing if it did not come so far."""
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Report(section, file).found
    return found


def text_of(cell: object) -> str:
    """A cell as it is printed."""
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:,.6g}" if isinstance(cell, float) else str(cell)
