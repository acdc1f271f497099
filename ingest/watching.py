"""Tells when something below a folder has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ingest.errors import FolderMissing

_SETTLE_MS = 1500
_BEGIN_MS = 200


def changes_of(folder: Path) -> Iterator[None]:
    """Yields once when the watch has begun, so that nothing is missed between a first look and the watch; then once
    for each burst of changes, when it has been quiet for a moment; for ever. Raises FolderMissing."""
    from watchfiles import watch

    begun = False
    try:
        for changes in watch(
            folder, watch_filter=None, debounce=_SETTLE_MS, rust_timeout=_BEGIN_MS, yield_on_timeout=True
        ):
            if changes or not begun:
                begun = True
                yield None
    except FileNotFoundError as exc:
        raise FolderMissing(f"{folder} is not a folder. Check the spelling, or whether its disk is there.") from exc
