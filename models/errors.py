"""
ModelError
├── UnknownModel          no such name in the catalog
├── DownloadFailed        no source gave the file
├── HashMismatch          a file is not the one the catalog names
├── WeightsMissing        weights are not in the cache and nothing may be fetched now
├── UnknownCard           no known graphics card has that name
├── ImpossibleProfile     a profile or GPU was named that this machine or model does not have
├── BadCheckpoint         a folder or file is no checkpoint or adapter that an engine here can load
└── EngineError           the language model's server
    ├── EngineUnavailable     it is not there, busy, still loading, or went away
    ├── EngineRefused         it answered with an error (status, code)
    └── EngineMisconfigured   its settings forbid a request: a host that is not allowed, a key that is missing
"""

from __future__ import annotations


class ModelError(Exception):
    """Base of everything that can go wrong with models."""


class UnknownModel(ModelError):
    pass


class DownloadFailed(ModelError):
    pass


class HashMismatch(ModelError):
    pass


class WeightsMissing(ModelError):
    pass


class UnknownCard(ModelError):
    pass


class ImpossibleProfile(ModelError):
    pass


class BadCheckpoint(ModelError):
    pass


class EngineError(ModelError):
    pass


class EngineUnavailable(EngineError):
    pass


class EngineRefused(EngineError):
    def __init__(self, message: str, *, status: int, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class EngineMisconfigured(EngineError):
    pass
