"""Builds the appliance from the settings: the one place where every part meets."""

from __future__ import annotations

import logging
from pathlib import Path

from indexes.database import Database
from indexes.library import Library, embedders_of
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.process import IngestProcess
from ingest.requests import WorkerSetup
from ingest.task import OcrOptions
from models.catalog import Catalog, Entry, load_catalog
from models.devices import Devices, choose_embedder_threads, choose_llama_threads, detect
from models.download import ensure
from models.embedding.opening import for_ingest
from models.engines.meter import Meter
from models.errors import UnknownModel
from rag.appliance import Appliance
from rag.choices import Choices, choose_mode, choose_parsers, with_threads
from rag.engines import Engines
from rag.errors import BadInput
from rag.loaded_models import LoadedModels
from rag.local_engine import LocalEngine
from rag.local_model import LocalModel, choose_local_model, find_installed
from rag.machine import EngineStatus
from rag.observing import Observer
from rag.ownership import Ownership
from rag.placement import Placement, place
from rag.salting import Salts
from rag.settings import Settings

_log = logging.getLogger(__name__)


def build_appliance(settings: Settings, owner: Ownership) -> Appliance:
    """The appliance over the data folder that `owner` holds. Loads nothing heavy and starts no engine: each part does
    so when it is first needed. Raises BadInput for settings that cannot be used, NewerDatabase."""
    catalog = load_catalog()
    embedder = _embedder(settings, catalog)
    _require_text_recognition(settings)
    devices = with_threads(detect(), settings)
    installed = find_installed(settings.trtllm_serve, devices)
    local, local_reason = choose_local_model(settings, catalog, devices, installed)
    meter = Meter()
    engines = _engines(settings, local, local_reason, devices, meter)
    logs = settings.home / "logs"
    database, index_cache = Database(settings.home / "lectern.sqlite"), settings.home / "indexes"
    profile = local.profile if local else None
    placement = place(settings, devices, profile, embedder.name, embedders_of(database))
    choices = _choices(settings, devices, embedder, placement, engines, local, local_reason)
    for sentence in choices.sentences():
        _log.info(sentence)
    models = LoadedModels(
        embedder=embedder,
        reranker=_reranker(settings, catalog),
        placement=placement,
        engines=engines,
        cache=settings.cache,
    )
    setup = WorkerSetup(
        database=str(database.path),
        index_cache=str(index_cache),
        weights_cache=str(settings.cache),
        embedder=embedder.name,
        threads=choose_embedder_threads(devices)[0],
        parsers=choices.parsers,
        exact_vectors=placement.exact,
        ocr=settings.ocr,
        ocr_languages=settings.ocr_languages,
        rescan_s=settings.rescan_s or None,
    )
    lent = (lambda: for_ingest(models.embedder())) if placement.lends else None
    return Appliance(
        library=Library(database, index_cache, placement.index),
        models=models,
        ingest=IngestProcess(setup, log_file=logs / "ingest.log", inherited=(owner.descriptor,), embedder=lent),
        previews=ParserPool(1, Limits(), niceness=0),
        choices=choices,
        meter=meter,
        observer=Observer(engines, meter, profile),
        salts=Salts(),
    )


def _embedder(settings: Settings, catalog: Catalog) -> Entry:
    try:
        return catalog.entry(settings.embedder)
    except UnknownModel as exc:
        raise BadInput(f"LECTERN_EMBEDDER = {settings.embedder!r}: {exc}.") from exc


def _require_text_recognition(settings: Settings) -> None:
    """A wrong language would have every scan read again, and read as nothing."""
    from ingest.readers.ocr_engines import unavailable

    reason = unavailable(OcrOptions(settings.ocr, settings.ocr_languages))
    if reason is not None:
        languages = ",".join(settings.ocr_languages)
        raise BadInput(f"LECTERN_OCR={settings.ocr}, LECTERN_OCR_LANGUAGES={languages}: {reason}")


def _reranker(settings: Settings, catalog: Catalog) -> Path | None:
    """The folder of the cross-encoder that the settings name: a folder, or a model of the catalog."""
    if not settings.reranker:
        return None
    folder = Path(settings.reranker).expanduser().absolute()
    if folder.is_dir():
        return folder
    try:
        entry = catalog.entry(settings.reranker)
    except UnknownModel as exc:
        raise BadInput(f"LECTERN_RERANKER = {settings.reranker!r}: it is no folder, and {exc}.") from exc
    return ensure(entry, settings.cache, fetch=False)


def _engines(settings: Settings, local: LocalModel | None, reason: str, devices: Devices, meter: Meter) -> Engines:
    own = unfit = None
    if local:
        own = LocalEngine(
            local,
            cache=settings.cache,
            threads=choose_llama_threads(devices)[0],
            adapters=tuple(folder.expanduser().absolute() for folder in settings.lora),
            logs=settings.home / "logs",
            registry=meter.registry,
        )
    elif settings.local_engine:
        unfit = EngineStatus("TensorRT-LLM", settings.llm, "local", "127.0.0.1", "down", reason)
    return Engines(own, settings.engines, meter=meter, allowed_hosts=settings.allow_chat, unfit=unfit)


def _choices(
    settings: Settings,
    devices: Devices,
    embedder: Entry,
    placement: Placement,
    engines: Engines,
    local: LocalModel | None,
    local_reason: str,
) -> Choices:
    first = next(iter(engines.all), None)
    mode, mode_reason = choose_mode(settings.mode, local.entry if local else None, first)
    parsers, parsers_reason = choose_parsers(settings.parsers, devices)
    order = "; then ".join(str(engine) for engine in engines.all if engine.place != "local" or not local)
    return Choices(
        mode=mode,
        mode_reason=mode_reason,
        parsers=parsers,
        parsers_reason=parsers_reason,
        embedder_reason=f"{embedder.name} {placement.prediction}; {choose_embedder_threads(devices)[1]}",
        index_reason=placement.index_reason,
        language_model_reason=f"{local_reason}{'; when it fails: ' if local else ', but: '}{order}"
        if order
        else local_reason,
    )
