"""OLE containers, in which the old office formats keep their streams; the library's errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingest.errors import Unreadable


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The container as olefile gives it. Raises Unreadable when it, or a stream asked of it, is damaged."""
    import olefile

    try:
        with olefile.OleFileIO(str(path)) as ole:
            yield ole
    except (OSError, IndexError) as exc:
        raise Unreadable(f"{path.name} is damaged: its container of streams cannot be read ({exc}).") from exc
