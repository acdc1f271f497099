"""What was chosen for this machine, and why: each choice is a pure function of facts, and explains itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.catalog import Entry
from models.devices import Devices
from rag.events import Mode
from rag.settings import Settings

ABLE_FROM = 0.5
"""A model that answers a smaller share of simple questions from given text is not let write answers by default."""
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
    index_reason: str = "exact search by FAISS on the CPU, words by SQLite's BM25"

    def sentences(self) -> list[str]:
        return [
            f"Embedder: {self.embedder_reason}.",
            f"Index: {self.index_reason}.",
            f"Language model: {self.language_model_reason}.",
            f"Answers: mode “{self.mode}”, {self.mode_reason}.",
            f"Reading: {self.parsers} files at a time, {self.parsers_reason}.",
        ]


def choose_mode(wished: str, language_model: Entry) -> tuple[Mode, str]:
    """How questions are answered unless they say otherwise."""
    if wished == "quote":
        return "quote", "as the settings say"
    if wished == "generate":
        return "generate", "as the settings say"
    ability = language_model.answer_ability
    if ability is None:
        return "quote", f"since it was never measured how well {language_model.name} answers"
    percent = f"{ability:.0%} of simple questions from given text"
    if ability < ABLE_FROM:
        return "quote", f"since {language_model.name} answers only {percent}"
    return "generate", f"since {language_model.name} answers {percent}"


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
