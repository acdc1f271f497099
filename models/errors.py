"""
ModelError
├── UnknownModel          no such name in the catalog
├── DownloadFailed        no source gave the file
├── HashMismatch          a file is not the one the catalog names
├── WeightsMissing        weights are not in the cache and nothing may be fetched now
└── EngineError           the language model's server
    ├── EngineUnavailable     it is not there, still loading, or went away
    └── EngineRefused         it answered with an error (status, code)
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


class EngineError(ModelError):
    pass


class EngineUnavailable(EngineError):
    pass


class EngineRefused(EngineError):
    def __init__(self, message: str, *, status: int, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
