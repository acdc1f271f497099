"""A safety net under the libraries: which texts of a file are in nothing that was read of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def overlooked(texts: Iterable[str], read: Iterable[str]) -> Iterator[str]:
    """Those of `texts` that do not occur in `read` (white space apart), in their order, each once."""
    known = _squeezed("\x00".join(read))
    new: set[str] = set()
    for text in texts:
        squeezed = _squeezed(text)
        if squeezed and squeezed not in known and squeezed not in new:
            new.add(squeezed)
            yield text


def _squeezed(text: str) -> str:
    return "".join(text.split())
