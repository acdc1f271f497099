"""What was chosen for this machine, and why: each choice is a pure function of facts, and explains itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.catalog import Entry
from models.devices import Devices
from models.interfaces import Engine
from rag.events import Mode
from rag.settings import Settings

ABLE_FROM = 0.5
"""A model that answers a smaller share of simple questions from given text is not let write answers by default."""
ABLE_PARAMETERS = 1_500_000_000
"""Of the smallest model that was measured to be able: Qwen2.5-Coder-1.5B."""
_PARSER_BYTES = 1 << 30


@dataclass(frozen=True)
class Choices:
    """The choices with their reasons, one sentence each."""

    mode: Mode
    mode_reason: str
    parsers: int
    parsers_reason: str
    embedder_reason: str
    language_model_reason: str
    index_reason: str

    def sentences(self, embedder_reason: str | None = None) -> list[str]:
        """`embedder_reason` is known once the embedder is loaded; until then it is what will be tried."""
        return [
            f"Embedder: {embedder_reason or self.embedder_reason}.",
            f"Index: {self.index_reason}.",
            f"Language model: {self.language_model_reason}.",
            f"Answers: mode “{self.mode}”, {self.mode_reason}.",
            f"Reading: {self.parsers} files at a time, {self.parsers_reason}.",
        ]


def choose_mode(wished: str, local: Entry | None, first: Engine | None) -> tuple[Mode, str]:
    """How questions are answered unless they say otherwise. `first` is the engine that is asked first, `local` what is
    known of its model when it runs on this machine."""
    if wished == "quote":
        return "quote", "as the settings say"
    if wished == "generate":
        return "generate", "as the settings say"
    if first is None:
        return "quote", "since there is no language model"
    if local is None:
        return "generate", f"since the settings name {first}, which was not measured"
    if local.answer_ability is not None:
        able: Mode = "quote" if local.answer_ability < ABLE_FROM else "generate"
        only = " only" if able == "quote" else ""
        return able, f"since {first.model} answers{only} {local.answer_ability:.0%} of simple questions from given text"
    if local.shape is not None and local.shape.parameters >= ABLE_PARAMETERS:
        return "generate", f"since {first.model}, though not measured, is no smaller than one that answers 63%"
    return "quote", f"since it was never measured how well {first.model} answers"


def choose_parsers(wished: int, devices: Devices) -> tuple[int, str]:
    """How many files are read at a time."""
    if wished:
        return wished, "as the settings say"
    by_memory = max(1, devices.memory_bytes // (4 * _PARSER_BYTES))
    parsers = max(1, min(devices.cores, 4, by_memory))
    return parsers, f"for {devices.cores} cores and {devices.memory_bytes / 2**30:.0f} GiB of memory"


def with_threads(devices: Devices, settings: Settings) -> Devices:
    """The devices as the settings let them be used."""
    return replace(devices, cores=settings.threads) if settings.threads else devices
