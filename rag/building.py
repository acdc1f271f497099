"""Builds the appliance from the settings: the one place where every part meets."""

from __future__ import annotations

import logging
from typing import Literal

from indexes.database import Database
from indexes.library import Library
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.process import IngestProcess
from ingest.requests import WorkerSetup
from models.catalog import Catalog, Entry, load_catalog
from models.devices import (
    Devices,
    choose_embedder_device,
    choose_embedder_threads,
    choose_llama_threads,
    detect,
)
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
from rag.salting import Salts
from rag.settings import Settings

_log = logging.getLogger(__name__)


def build_appliance(settings: Settings, owner: Ownership) -> Appliance:
    """The appliance over the data folder that `owner` holds. Loads nothing heavy and starts no engine: each part does
    so when it is first needed. Raises BadInput for settings that cannot be used, NewerDatabase."""
    catalog = load_catalog()
    embedder = _embedder(settings, catalog)
    devices = with_threads(detect(), settings)
    installed = find_installed(settings.trtllm_serve, devices)
    local, local_reason = choose_local_model(settings, catalog, devices, installed)
    meter = Meter()
    engines = _engines(settings, local, local_reason, devices, meter)
    device = _embedder_device(settings, local)
    choices = _choices(settings, devices, embedder, device, engines, local, local_reason)
    for sentence in choices.sentences():
        _log.info(sentence)
    logs = settings.home / "logs"
    database, index_cache = settings.home / "lectern.sqlite", settings.home / "indexes"
    setup = WorkerSetup(
        database=str(database),
        index_cache=str(index_cache),
        weights_cache=str(settings.cache),
        embedder=embedder.name,
        threads=choose_embedder_threads(devices)[0],
        parsers=choices.parsers,
    )
    return Appliance(
        library=Library(Database(database), index_cache),
        models=LoadedModels(embedder=embedder, device=device, engines=engines, cache=settings.cache, devices=devices),
        ingest=IngestProcess(setup, log_file=logs / "ingest.log", inherited=(owner.descriptor,)),
        previews=ParserPool(1, Limits(), niceness=0),
        choices=choices,
        meter=meter,
        observer=Observer(engines, meter, local.profile if local else None),
        salts=Salts(settings.home / "salt.secret"),
    )


def _embedder(settings: Settings, catalog: Catalog) -> Entry:
    try:
        return catalog.entry(settings.embedder)
    except UnknownModel as exc:
        raise BadInput(f"LECTERN_EMBEDDER = {settings.embedder!r}: {exc}.") from exc


def _embedder_device(settings: Settings, local: LocalModel | None) -> Literal["auto", "cpu", "cuda"]:
    """The CPU where the language model was planned to have its GPUs for itself."""
    alone = local is not None and local.profile.gpus and not local.profile.shares_gpu
    return "cpu" if settings.device == "auto" and alone else settings.device


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
    device: Literal["auto", "cpu", "cuda"],
    engines: Engines,
    local: LocalModel | None,
    local_reason: str,
) -> Choices:
    first = next(iter(engines.all), None)
    mode, mode_reason = choose_mode(settings.mode, local.entry if local else None, first)
    parsers, parsers_reason = choose_parsers(settings.parsers, devices)
    chosen, why = choose_embedder_device(devices) if device == "auto" else (device, "as planned or set")
    order = "; then ".join(str(engine) for engine in engines.all if engine.place != "local" or not local)
    return Choices(
        mode=mode,
        mode_reason=mode_reason,
        parsers=parsers,
        parsers_reason=parsers_reason,
        embedder_reason=f"{embedder.name} on the {chosen.upper()}, {why}; {choose_embedder_threads(devices)[1]}",
        language_model_reason=f"{local_reason}; when it fails: {order}" if order else local_reason,
    )
