"""Which files of a repository make a checkpoint. Pickles and program text are never taken: loading them runs them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from models.errors import DownloadFailed
from models.hub import HubFile

WEIGHTS_SUFFIX = ".safetensors"
SUFFIXES = (WEIGHTS_SUFFIX, ".json", ".txt", ".model", ".jinja", ".md")
LEGAL_NAMES = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")
NEVER = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".so")
OTHER_FORMAT = "original"
"""The folder in which Meta and others publish the same weights once more, as no engine here reads them."""
OUR_RECORDS = ("pinned.json", "verified.json")
"""What Lectern notes in the model's folder: a repository must not be able to say that it was verified."""


def checkpoint_files(listed: Sequence[HubFile], patterns: Sequence[str]) -> list[HubFile]:
    """The files that match the catalog's `patterns`; without patterns, those of a checkpoint in safetensors.

    Raises `DownloadFailed` when a pattern matches nothing, when there are no weights, or when a path is an attack.
    """
    taken = [file for file in listed if _is_safe_to_load(file.path, patterns) and _is_wanted(file.path, patterns)]
    for pattern in patterns or [f"*{WEIGHTS_SUFFIX}"]:
        if not any(fnmatchcase(file.path, pattern) for file in taken):
            raise DownloadFailed(f"the repository has no {pattern} that may be taken (pickles never are)")
    for file in taken:
        check_path(file.path)
    return taken


def check_path(path: str) -> None:
    """Raise `DownloadFailed` for a path that leads out of the model's folder, and for one like "./a" or "a//b": it
    would be judged by another name than that of the file that it writes."""
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts or set(path) & set("\\:\0"):
        raise DownloadFailed(f"the file {path!r} would lie outside the model's folder; do not use this repository")
    if path != PurePosixPath(path).as_posix():
        raise DownloadFailed(f"the file {path!r} has a disguised path; do not use this repository")


def _is_safe_to_load(path: str, patterns: Sequence[str]) -> bool:
    """Files ending in .bin are mostly pickles, but not all: one that the catalog spells out is taken."""
    lower = path.lower()
    return not lower.endswith(NEVER) and (path in patterns or not lower.endswith(".bin"))


def _is_wanted(path: str, patterns: Sequence[str]) -> bool:
    *folders, name = PurePosixPath(path).parts
    if path.lower() in OUR_RECORDS or any(part.startswith(".") and part != ".." for part in (*folders, name)):
        return False
    if patterns:
        return any(fnmatchcase(path, pattern) for pattern in patterns)
    return OTHER_FORMAT not in folders and (path.endswith(SUFFIXES) or name.upper().startswith(LEGAL_NAMES))
