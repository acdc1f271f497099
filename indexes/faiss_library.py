"""Imports FAISS, which every wheel of it (CPU, CUDA 12, cuVS) calls by the same name."""

from __future__ import annotations

from types import ModuleType

from indexes.errors import FaissUnusable


def load_faiss() -> ModuleType:
    """The module `faiss`. Raises `FaissUnusable`: a GPU wheel without its CUDA libraries fails as it is imported, with
    a RuntimeError or an ImportError, by which library is missing."""
    try:
        import faiss
    except (ImportError, RuntimeError, OSError) as exc:
        raise FaissUnusable(
            f"FAISS cannot be loaded: {exc}. Install the whole of requirements.txt, or of requirements-gpu.txt on a "
            "machine with an NVIDIA GPU, and never both in one environment."
        ) from exc
    module: ModuleType = faiss
    return module
