"""The catalog of models: which files each one has, where they may come from, and the hash that proves them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, cast, get_args

from models.errors import ModelError, UnknownModel

Kind = Literal["embedder", "llm", "reranker", "speech", "vision"]
Backend = Literal["onnx", "llama.cpp", "tensorrt-llm", "torch", "ctranslate2"]

CATALOG_FILE = Path(__file__).with_name("catalog.toml")

_NEEDED = {"embedder": ("dimension", "window_tokens"), "llm": ("context_tokens",)}


@dataclass(frozen=True)
class ModelFile:
    """One file of a model. `sources` are tried in order; a source is the parts to join, mostly just one."""

    path: str
    bytes: int
    sha256: str
    sources: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Shape:
    """The dimensions of a transformer, by which its memory is planned; the same for every precision of a family."""

    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    parameters: int

    @classmethod
    def counted(
        cls,
        layers: int,
        hidden_size: int,
        intermediate_size: int,
        heads: int,
        kv_heads: int,
        head_dim: int,
        vocabulary: int,
    ) -> Shape:
        """With the parameters of a Llama counted: attention and MLP of each layer, and the embedding once, as if the
        output shared it."""
        attention = 2 * hidden_size * head_dim * (heads + kv_heads)
        parameters = layers * (attention + 3 * hidden_size * intermediate_size) + vocabulary * hidden_size
        return cls(layers, hidden_size, intermediate_size, heads, kv_heads, head_dim, vocabulary, parameters)


@dataclass(frozen=True)
class Entry:
    """A model in one precision. Its weights are one of three things: `files`, whose hashes the catalog knows; or what
    lies in `repository` ("hf://owner/name@revision"), whose hashes are pinned at the first pull; or what `recipe`, a
    command, makes of another checkpoint, where nobody publishes them in a form that the backend reads.

    Of a repository, `repository_files` (glob patterns) are taken, or all that a checkpoint needs when it is empty.
    `weights_bytes` is how large the weights are there. `gated`: the publisher wants its licence accepted, and a token.
    `family` is what the precisions of one model share; the name, where it is alone.

    `dimension` and `window_tokens` (special tokens not counted) belong to embedders; `context_tokens` and
    `answer_ability` (0–1, the measured share of simple questions answered from given text) to language models."""

    name: str
    kind: Kind
    backend: Backend
    architecture: str
    precision: str
    licence: str
    attribution: str
    summary: str
    files: tuple[ModelFile, ...] = ()
    repository: str | None = None
    repository_files: tuple[str, ...] = ()
    recipe: str = ""
    weights_bytes: int = 0
    gated: bool = False
    family: str = ""
    shape: Shape | None = None
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
        """Which weights these are: the first 12 digits of their hash, since the hash and no publisher is trusted; for a
        repository the revision that is asked for, since the catalog has no hash."""
        return self.weights.sha256[:12] if self.files else (self.repository or "").rpartition("@")[2]

    @property
    def total_bytes(self) -> int:
        """The whole model; for a repository what is known of its weights before they are there."""
        return sum(file.bytes for file in self.files) if self.files else self.weights_bytes


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

    def language_models(self, name: str) -> tuple[Entry, ...]:
        """The language models of that family, or the one of that name; raises `UnknownModel`."""
        known = [entry for entry in self.entries if entry.kind == "llm"]
        if found := tuple(entry for entry in known if name in (entry.family, entry.name)):
            return found
        families = ", ".join(dict.fromkeys(entry.family for entry in known))
        raise UnknownModel(f"no language model is named {name!r}; the catalog has the families: {families}")

    def embedded(self) -> tuple[Entry, ...]:
        """The models that every installation has."""
        return tuple(entry for entry in self.entries if entry.embedded)


def load_catalog(file: Path = CATALOG_FILE) -> Catalog:
    """Read a catalog file. Raises `ModelError` naming the entry that is wrong."""
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
        shapes = {str(table.pop("family")): Shape(**table) for table in tables.get("shape", [])}
        entries = tuple(_read_entry(table, shapes, file) for table in tables["model"])
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as exc:
        raise ModelError(f"the model catalog {file} cannot be read: {exc}") from exc
    names = [entry.name for entry in entries]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise ModelError(f"the model catalog {file} names {', '.join(sorted(doubled))} more than once")
    return Catalog(entries)


def _read_entry(table: Mapping[str, object], shapes: Mapping[str, Shape], file: Path) -> Entry:
    name = str(table.get("name", "an entry without a name"))
    family = str(table.get("family", name))
    fields = {key: value for key, value in table.items() if key not in ("file", "repository_files")}
    fields |= {"family": family, "shape": shapes.get(family)}
    try:
        files = tuple(_read_file(each) for each in cast("list[Mapping[str, object]]", table.get("file", [])))
        patterns = tuple(str(pattern) for pattern in cast("list[str]", table.get("repository_files", [])))
        entry = Entry(files=files, repository_files=patterns, **fields)  # type: ignore[arg-type]  # TOML has no types
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
    for field in _NEEDED.get(entry.kind, ()):
        if not isinstance(getattr(entry, field), int):
            raise ValueError(f"it needs {field}, a whole number")
    if entry.kind == "llm" and entry.backend == "tensorrt-llm" and entry.shape is None:
        raise ValueError(f"no [[shape]] names its family {entry.family!r}, and without it no memory can be planned")
    _check_origin(entry)
    # These become names in the cache folder; they must not lead out of it.
    for path in (entry.name, *(file.path for file in entry.files)):
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
            raise ValueError(f"{path!r} leads out of the model's folder")
    for model_file in entry.files:
        if len(model_file.sha256) != 64 or set(model_file.sha256) - set("0123456789abcdef"):
            raise ValueError(f"the sha256 of {model_file.path} is not 64 hexadecimal digits")


def _check_origin(entry: Entry) -> None:
    if sum(map(bool, (entry.files, entry.repository, entry.recipe))) != 1:
        raise ValueError("it needs files, or a repository, or a recipe, and only one of them")
    if not entry.files and entry.weights_bytes <= 0:
        raise ValueError("it needs weights_bytes, since the catalog does not know its files")
    if entry.repository and not re.fullmatch(r"hf://[\w.-]+/[\w.-]+@[\w./-]+", entry.repository):
        raise ValueError(f"its repository {entry.repository!r} should read hf://owner/name@revision")
