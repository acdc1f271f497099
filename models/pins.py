"""What a model of a hub was found to be when it was first pulled: the commit, and the hash of every file.

`pinned.json` in the model's folder stands in for the hashes that the catalog cannot name. It is written once and
believed from then on (docs/decisions/0008-pinned-at-first-pull.md)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from models.catalog import ModelFile
from models.checkpoint_files import check_path
from models.errors import ModelError
from models.hub import Repository

PIN_NAME = "pinned.json"


@dataclass(frozen=True)
class Pin:
    """`repository` is the catalog's address, the revision included; `files` come from `commit` and nowhere else."""

    repository: str
    commit: str
    files: tuple[ModelFile, ...]


def read_pin(folder: Path, repository: str) -> Pin | None:
    """The pin of that repository; None if there is none, or one of another repository or revision.

    Raises `ModelError` for a pin that cannot be understood: to pin again without a word would be to trust anew.
    """
    try:
        pin = _parse((folder / PIN_NAME).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError, ModelError) as exc:
        raise ModelError(
            f"{folder / PIN_NAME} cannot be read ({exc!r}), so nothing proves these weights; remove that file, "
            "then pull the model again"
        ) from exc
    return pin if pin.repository == repository else None


def write_pin(folder: Path, pin: Pin) -> None:
    """Store the pin, all or nothing."""
    files = [{"path": file.path, "bytes": file.bytes, "sha256": file.sha256} for file in pin.files]
    noted = {"repository": pin.repository, "commit": pin.commit, "files": files}
    temporary = folder / f".{PIN_NAME}"
    temporary.write_text(json.dumps(noted, indent=1) + "\n", "utf-8")
    temporary.replace(folder / PIN_NAME)


def pinned_file(repository: Repository, commit: str, path: str, size: int, sha256: str) -> ModelFile:
    """A file of the hub as if the catalog named it; its one source is that commit."""
    check_path(path)
    return ModelFile(path, size, sha256, ((f"hf://{repository.name}@{commit}/{path}",),))


def _parse(text: str) -> Pin:
    noted = json.loads(text)
    repository, commit = str(noted["repository"]), str(noted["commit"])
    files = tuple(
        pinned_file(Repository.parse(repository), commit, str(row["path"]), int(row["bytes"]), str(row["sha256"]))
        for row in noted["files"]
    )
    if not files or not all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in files):
        raise ValueError("it does not name a sha256 for each file")
    return Pin(repository, commit, files)
