"""Examines machine and installation: each finding has a severity and, where something is wrong, a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ingest.task import OcrOptions
from models.catalog import load_catalog
from models.devices import Devices, detect
from models.errors import ModelError
from models.torch_build import cuda_problem, torch_build
from rag.errors import BadInput
from rag.examination import engines, installation, machine, storage, weights
from rag.examination.finding import Finding
from rag.local_model import choose_local_model, find_installed
from rag.settings import Settings

_TORCH_WAIT_S = 20.0

Examination = Callable[[], Finding | Iterable[Finding]]


def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order that a person would look. Starts no engine. What waits for other processes or hosts
    waits at the same time."""
    devices = detect()
    examinations: list[Examination] = [
        partial(machine.examine_machine, devices),
        partial(machine.examine_cuda, devices, settings.device, torch_build(), partial(cuda_problem, _TORCH_WAIT_S)),
        partial(installation.examine_faiss, devices, settings.device),
        installation.examine_packages,
        partial(storage.examine_folder, settings.home),
        partial(_models, settings, devices),
        *(partial(engines.examine_remote, engine, settings.allow_chat) for engine in settings.engines),
        partial(storage.examine_owner, settings.home, settings.host, settings.port),
        partial(storage.examine_database, settings.home, settings.embedder),
        installation.examine_sandbox,
        partial(installation.examine_text_recognition, OcrOptions(settings.ocr, settings.ocr_languages)),
        installation.examine_office,
        installation.examine_archives,
    ]
    with ThreadPoolExecutor(len(examinations)) as threads:
        return [finding for findings in threads.map(_made, examinations) for finding in findings]


def _made(examination: Examination) -> list[Finding]:
    found = examination()
    return [found] if isinstance(found, dict) else list(found)


def _models(settings: Settings, devices: Devices) -> Iterator[Finding]:
    """The language model of this machine by its plan, then the weights of every model that the settings name."""
    catalog, needed = load_catalog(), []
    installed = find_installed(settings.trtllm_serve, devices)
    if settings.local_engine:
        yield from engines.examine_trtllm(installed, devices, named=bool(settings.trtllm_serve))
    try:
        model, reason = choose_local_model(settings, catalog, devices, installed)
        yield engines.examine_local(model, reason, settings.engines, wanted=settings.local_engine)
        # One's own checkpoint was read for its plan, and lies elsewhere.
        needed += [model.entry] if model and model.path is None else []
    except (BadInput, ModelError) as exc:
        yield engines.examine_refusal(exc)
    try:
        needed.insert(0, catalog.entry(settings.embedder))
    except ModelError as exc:
        yield weights.examine_refusal("embedder", exc)
    yield from weights.examine_weights(needed, settings.cache)
    yield from weights.examine_reranker(settings.reranker, catalog, settings.cache)
