"""Builds the appliance from the settings: the one place where every part meets."""

from __future__ import annotations

import logging

from indexes.database import Database
from indexes.library import Library
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.process import IngestProcess
from ingest.requests import WorkerSetup
from models.catalog import load_catalog
from models.devices import choose_embedder_device, choose_embedder_threads, choose_llama_threads, detect
from rag.appliance import Appliance
from rag.choices import Choices, choose_mode, choose_parsers, with_threads
from rag.loaded_models import LoadedModels
from rag.ownership import Ownership
from rag.settings import Settings

_log = logging.getLogger(__name__)
_MOST_CONTEXT_TOKENS = 8192  # more costs memory and time to first token, and the passages need a quarter of it


def build_appliance(settings: Settings, owner: Ownership) -> Appliance:
    """The appliance over the data folder that `owner` holds. Loads nothing heavy and starts no process: each part does
    so when it is first needed. Raises UnknownModel, NewerDatabase."""
    catalog = load_catalog()
    embedder, language_model = catalog.entry(settings.embedder), catalog.entry(settings.llm)
    devices = with_threads(detect(), settings)
    mode, mode_reason = choose_mode(settings.mode, language_model)
    parsers, parsers_reason = choose_parsers(settings.parsers, devices)
    device, device_reason = choose_embedder_device(devices)
    threads, threads_reason = choose_embedder_threads(devices)
    choices = Choices(
        mode=mode,
        mode_reason=mode_reason,
        parsers=parsers,
        parsers_reason=parsers_reason,
        embedder_reason=f"{embedder.name} on the {device.upper()}, {device_reason}; {threads_reason}",
        language_model_reason=f"{language_model.name} by {language_model.backend}, {choose_llama_threads(devices)[1]}",
    )
    for sentence in choices.sentences():
        _log.info(sentence)
    logs = settings.home / "logs"
    database, index_cache = settings.home / "lectern.sqlite", settings.home / "indexes"
    setup = WorkerSetup(
        database=str(database),
        index_cache=str(index_cache),
        weights_cache=str(settings.cache),
        embedder=embedder.name,
        threads=threads,
        parsers=parsers,
    )
    return Appliance(
        library=Library(Database(database), index_cache),
        models=LoadedModels(
            embedder=embedder,
            language_model=language_model,
            cache=settings.cache,
            devices=devices,
            context_tokens=min(language_model.context_tokens or _MOST_CONTEXT_TOKENS, _MOST_CONTEXT_TOKENS),
            logs=logs,
        ),
        ingest=IngestProcess(setup, log_file=logs / "ingest.log", inherited=(owner.descriptor,)),
        previews=ParserPool(1, Limits(), niceness=0),
        choices=choices,
    )
