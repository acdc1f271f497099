"""Every error that Lectern knows, as a sentence for a person."""

from __future__ import annotations

from indexes.errors import StorageError
from ingest.errors import IngestError
from models.cancellation import Cancelled
from models.errors import ModelError
from rag.errors import RagError


def explain(error: BaseException) -> str | None:
    """What failed and what to do, or None for an error that is nobody's but ours."""
    if isinstance(error, RagError | StorageError | IngestError | ModelError):
        return str(error)
    if isinstance(error, Cancelled):
        return "Stopped."
    if isinstance(error, OSError) and error.filename:
        return (
            f"{error.filename} cannot be used: {error.strerror}. Check that it is there, its permissions and its disk."
        )
    return None
