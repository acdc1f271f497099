"""Where the CUDA libraries lie that FAISS's wheel wants and the loader does not find by itself."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def library_path() -> str:
    """LD_LIBRARY_PATH with the libraries that came with torch's wheel in front. FAISS for CUDA 13 is linked against
    them, and the loader reads the variable only when a process starts."""
    folders = [str(folder) for root in _nvidia_folders() for folder in sorted(root.glob("*/lib"))]
    return os.pathsep.join((*folders, *filter(None, [os.environ.get("LD_LIBRARY_PATH", "")])))


def _nvidia_folders() -> list[Path]:
    """The folder `nvidia` of each place of Python packages; found without importing torch."""
    spec = importlib.util.find_spec("nvidia")
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
