"""Tells when something below a folder has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_SETTLE_MS = 1500


def changes_of(folder: Path) -> Iterator[None]:
    """Yields once for each burst of changes, when it has been quiet for a moment; for ever."""
    from watchfiles import watch

    for _ in watch(folder, debounce=_SETTLE_MS, raise_interrupt=True):
        yield None
