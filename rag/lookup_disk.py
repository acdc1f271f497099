"""What the disk says of a file: why one that is there is not in the index, and whether one that is has changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from indexes.records import DocumentRow, FolderRow
from ingest.errors import BadRule, FolderMissing
from ingest.events import FolderState
from ingest.rules import DEFAULT_LINES, RULES_FILE, Rules, rules_of
from ingest.walk import identity_of, walk
from rag.durations import roughly
from rag.file_paths import as_stored, on_this_disk, places_meant
from rag.status import has_fault

# Folders of the system: nobody keeps documents there.
_SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "usr", "var")


def unknown_file(
    folders: Sequence[FolderRow],
    path: str,
    absolute: str | None,
    states: Mapping[str, FolderState],
    now: float,
    collection: str,
) -> list[str]:
    """Why a file that the index does not know is not in it; nothing when it is not on the disk either."""
    places = (on_this_disk(place) for place in places_meant(folders, path, absolute))
    place = next((Path(place) for place in places if os.path.lexists(place)), None)
    if place is None:
        return []
    for folder in folders:
        if place == Path(folder.path):
            return ["This is a folder of the collection, not a file. Ask about one of its files."]
        if place.is_relative_to(folder.path):
            relative = place.relative_to(folder.path).as_posix()
            return [_why_not_seen(folder, place, relative, states.get(folder.path), now)]
    return [_outside(place, [folder.path for folder in folders], collection)]


def _outside(place: Path, folders: Sequence[str], collection: str) -> str:
    known = ", ".join(folders) or "none yet"
    said = f"{as_stored(str(place))} lies in no folder of the collection {collection!r} (its folders: {known})."
    adds = place if place.is_dir() else place.parent
    # A folder above one that is followed would be refused.
    if _is_of_the_system(adds) or any(Path(folder).is_relative_to(adds) for folder in folders):
        return said
    return f"{said} `python app.py ingest {as_stored(str(adds))}` adds its folder."


def _is_of_the_system(place: Path) -> bool:
    return len(place.parts) < 2 or place.parts[1] in _SYSTEM


def folder_gone(folder: FolderRow, state: FolderState | None) -> str | None:
    """What to say of a folder that is not there, as when its disk is unplugged; None when it is."""
    place = Path(folder.path)
    if not place.is_absolute():
        return None
    if not place.is_dir():
        return f"Its folder {place} is not there now: is its disk connected? What was read of it stays."
    if state is not None and state.state == "missing":
        return f"Its folder is missing: {(state.message or str(place)).rstrip('.')}. What was read of it stays."
    if folder.device is not None and _is_another_empty_one(folder):
        return f"Its folder {place} is empty, and not the one that was read: is its disk connected?"
    return None


def _is_another_empty_one(folder: FolderRow) -> bool:
    try:
        return identity_of(Path(folder.path)) != folder.device and not any(Path(folder.path).iterdir())
    except (FolderMissing, OSError):
        return False


def on_disk(folder: FolderRow, row: DocumentRow, now: float) -> Iterator[str]:
    """Whether the file is still what was read, in a folder that is there."""
    if not Path(folder.path).is_absolute():
        return
    place = Path(on_this_disk(f"{folder.path}/{row.path}"))
    try:
        status = place.stat()
    except OSError as exc:
        if not os.path.lexists(place):
            yield "The file is no longer on the disk: the next look at its folder takes it out."
        elif row.state != "skipped":
            yield f"The file cannot be looked at now ({exc.strerror})."
        return
    changed = (status.st_size, status.st_mtime_ns) != (row.size_bytes, row.mtime_ns)
    if changed and row.queued is None and row.state not in ("pending", "skipped"):
        ago = roughly(max(0.0, now - status.st_mtime))
        yield (
            f"The file on the disk is not the version that was read: it changed {ago} ago. It is read again at the "
            f"next look at its folder: `python app.py ingest {folder.path}`."
        )


def _why_not_seen(folder: FolderRow, place: Path, relative: str, state: FolderState | None, now: float) -> str:
    names = relative.split("/")
    parents = ["/".join(names[:end]) for end in range(1, len(names))]
    if not folder.hidden and (hidden := next((name for name in names if name.startswith(".")), None)):
        return (
            f"The name {hidden!r} begins with a dot, and such names are left out: "
            f"`python app.py ingest {folder.path} --hidden` reads them, too."
        )
    try:
        rules = rules_of(Path(folder.path), folder.rules)
    except BadRule as exc:
        return f"The folder's rules cannot be understood, so nothing new is read from it: {exc}"
    if line := _rule_for(rules, relative, parents, place):
        return f"Left out by the rule {line!r}, {_origin(line, folder)}."
    if link := next((parent for parent in parents if (Path(folder.path) / parent).is_symlink()), None):
        return f"It lies below {link}, a link to a folder: such links are not followed."
    if place.is_dir() and not place.is_symlink():
        return "This is a folder, not a file. Ask about one of its files."
    try:
        found = next(walk(Path(folder.path), hidden=folder.hidden, rules=rules, below=relative), None)
    except FolderMissing as exc:
        return str(exc)
    if found is not None and found.reason:
        return f"It will not be read: {found.reason}."
    return f"It has not been seen yet: {_last_look(folder, state, now)}"


def _rule_for(rules: Rules, relative: str, parents: Sequence[str], place: Path) -> str | None:
    if not place.is_dir():
        return rules.rule_for(relative)
    lines = (rules.left_out_by(path, is_folder=True) for path in (*parents, relative))
    return next((line for line in lines if line is not None), None)


def _origin(line: str, folder: FolderRow) -> str:
    """Where a rule comes from, those that decide first."""
    if line in folder.rules:
        return f"which was given with the folder {folder.path}; `ingest` with other rules replaces it"
    if line in DEFAULT_LINES:
        return f"which is built in; `!{line}` in {Path(folder.path) / RULES_FILE} brings such files back"
    return f"which stands in {Path(folder.path) / RULES_FILE}"


def _last_look(folder: FolderRow, state: FolderState | None, now: float) -> str:
    if folder.scanned_at is None:
        looked = f"nobody has looked through {folder.path} to the end"
    else:
        looked = f"{folder.path} was last looked through {roughly(max(0, now - folder.scanned_at))} ago"
    if state is not None and has_fault(state):
        return f"{looked}, and cannot be looked at now: {(state.message or 'it is missing').rstrip('.')}."
    if state is not None and state.state == "starting":
        return f"{looked}; it is being looked through now."
    if state is not None and state.state != "left":
        return f"{looked}, and is followed: it should come in a moment."
    return f"{looked}, and nobody follows it now: `python app.py ingest {folder.path}` looks again."
