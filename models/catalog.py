"""The catalog of models: which files each one has, where they may come from, and the hash that proves them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, cast, get_args

from models.errors import ModelError, UnknownModel

Kind = Literal["embedder", "llm"]
Backend = Literal["onnx", "llama.cpp"]

CATALOG_FILE = Path(__file__).with_name("catalog.toml")


@dataclass(frozen=True)
class ModelFile:
    """One file of a model. `sources` are tried in order; a source is the parts to join, mostly just one."""

    path: str
    bytes: int
    sha256: str
    sources: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Entry:
    """A model. `dimension` and `window_tokens` (special tokens not counted) belong to embedders, `context_tokens` and
    `answer_ability` (0–1, the measured share of simple questions answered from given text) to language models."""

    name: str
    kind: Kind
    backend: Backend
    architecture: str
    precision: str
    licence: str
    attribution: str
    summary: str
    files: tuple[ModelFile, ...]
    embedded: bool = False
    dimension: int | None = None
    window_tokens: int | None = None
    context_tokens: int | None = None
    answer_ability: float | None = None

    @property
    def weights(self) -> ModelFile:
        return self.files[0]

    @property
    def revision(self) -> str:
        """Which weights these are: the first 12 digits of their hash, since the hash and no publisher is trusted."""
        return self.weights.sha256[:12]

    @property
    def total_bytes(self) -> int:
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class Catalog:
    entries: tuple[Entry, ...]

    def entry(self, name: str) -> Entry:
        """The model of that name; raises `UnknownModel`, which names those that exist."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.entries)
        raise UnknownModel(f"no model is named {name!r}; the catalog has: {known}")

    def embedded(self) -> tuple[Entry, ...]:
        """The models that every installation has."""
        return tuple(entry for entry in self.entries if entry.embedded)


def load_catalog(file: Path = CATALOG_FILE) -> Catalog:
    """Read a catalog file. Raises `ModelError` naming the entry that is wrong."""
    try:
        tables = tomllib.loads(file.read_text("utf-8"))["model"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as exc:
        raise ModelError(f"the model catalog {file} cannot be read: {exc}") from exc
    entries = tuple(_read_entry(table, file) for table in tables)
    names = [entry.name for entry in entries]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise ModelError(f"the model catalog {file} names {', '.join(sorted(doubled))} more than once")
    return Catalog(entries)


def _read_entry(table: Mapping[str, object], file: Path) -> Entry:
    name = table.get("name", "an entry without a name")
    fields = {key: value for key, value in table.items() if key != "file"}
    try:
        files = tuple(_read_file(each) for each in cast("list[Mapping[str, object]]", table["file"]))
        entry = Entry(files=files, **fields)  # type: ignore[arg-type]  # TOML has no static types; checked below
        _check(entry)
    except (KeyError, TypeError, ValueError) as exc:
        raise ModelError(f"{name} in the model catalog {file} is wrong: {exc}") from exc
    return entry


def _read_file(table: Mapping[str, object]) -> ModelFile:
    sources = cast("list[str | list[str]]", table["sources"])
    return ModelFile(
        path=str(table["path"]),
        bytes=int(str(table["bytes"])),
        sha256=str(table["sha256"]),
        sources=tuple((source,) if isinstance(source, str) else tuple(source) for source in sources),
    )


def _check(entry: Entry) -> None:
    if entry.kind not in get_args(Kind) or entry.backend not in get_args(Backend):
        raise ValueError(f"kind {entry.kind!r} or backend {entry.backend!r} is not known")
    needed = ("dimension", "window_tokens") if entry.kind == "embedder" else ("context_tokens",)
    for field in needed:
        if not isinstance(getattr(entry, field), int):
            raise ValueError(f"it needs {field}, a whole number")
    if not entry.files:
        raise ValueError("it has no files")
    # These become names in the cache folder; they must not lead out of it.
    for path in (entry.name, *(file.path for file in entry.files)):
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
            raise ValueError(f"{path!r} leads out of the model's folder")
    for model_file in entry.files:
        if len(model_file.sha256) != 64 or set(model_file.sha256) - set("0123456789abcdef"):
            raise ValueError(f"the sha256 of {model_file.path} is not 64 hexadecimal digits")
