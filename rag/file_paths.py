"""Which file a person means: paths as they are typed, as the index stores them, and as the disk has them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from indexes.collection import Collection
from indexes.records import DocumentRow, FolderRow
from rag.errors import BadInput, NotFound

_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


def as_stored(path: str) -> str:
    r"""As the walk notes it: bytes of a name that are no UTF-8 are written as "\xe9"."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def on_this_disk(place: str) -> str:
    """The inverse of `as_stored`, where that leads to a file; else `place` as it is."""
    if "\\x" in place and not os.path.lexists(place):
        raw = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), os.fsencode(place))
        if os.path.lexists(raw):
            return os.fsdecode(raw)
    return place


def places_meant(folders: Sequence[FolderRow], path: str, absolute: str | None = None) -> list[str]:
    """Absolute paths that `path` may stand for, the likeliest first. `absolute` is what it is for who asks."""
    if os.path.isabs(path):
        return [os.path.normpath(path)]
    below = [os.path.normpath(os.path.join(folder.path, path)) for folder in folders if Path(folder.path).is_absolute()]
    own = [os.path.normpath(absolute)] if absolute else []
    # With a dot in front, or in one of those places, a path is meant from where the asker stands.
    from_there = path.split("/")[0] in (".", "..") or bool(own and own[0] in below)
    return list(dict.fromkeys([*own, *below] if from_there else [*below, *own]))


def find_documents(collection: Collection, path: str, absolute: str | None = None) -> list[DocumentRow]:
    """The documents that `path` may stand for, the likeliest first: several folders may have such a path. Raises
    BadInput, NotFound."""
    if not path.strip():
        raise BadInput("No file is named. Give its path, relative to its folder or absolute.")
    folders = collection.documents.folders()
    found = {row.id: row for row in _known(collection, folders, path, absolute)}
    if not found:
        raise NotFound(_not_found(collection, folders, path))
    return list(found.values())


def _known(
    collection: Collection, folders: Sequence[FolderRow], path: str, absolute: str | None
) -> Iterator[DocumentRow]:
    for place in places_meant(folders, as_stored(path), as_stored(absolute) if absolute else None):
        for folder in folders:
            if PurePath(place).is_relative_to(folder.path):
                relative = PurePath(place).relative_to(folder.path).as_posix()
                if (row := collection.documents.find(folder.id, relative)) is not None:
                    yield row
    for folder in folders:  # what a program put in stands in a folder that is on no disk
        if not Path(folder.path).is_absolute() and (row := collection.documents.find(folder.id, as_stored(path))):
            yield row


def _not_found(collection: Collection, folders: Sequence[FolderRow], path: str) -> str:
    stored = as_stored(path)
    name = PurePath(stored).name
    alike = collection.documents.listed(state=None, name=name, limit=3)[0] if name.strip(".") else []
    meant = f" Did you mean {' or '.join(repr(row.path) for row in alike)}?" if alike else ""
    gone = [folder.path for folder in folders if Path(folder.path).is_absolute() and not Path(folder.path).is_dir()]
    missing = f" {' and '.join(gone)}: not there now, so what is new in it cannot be seen." if gone else ""
    return (
        f"No file {stored!r} is known in the collection {collection.name!r}.{meant}{missing} Give the path relative to "
        "its folder as `python app.py status` prints it; names that begin with a dot are read only with --hidden."
    )
