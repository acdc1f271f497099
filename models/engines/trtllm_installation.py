"""Where `trtllm-serve` is installed: in an environment of its own, whose requirements clash with ours."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import distributions
from pathlib import Path

ENVIRONMENT = ".venv-tensorrt"
PROGRAM = "trtllm-serve"


def find_trtllm_serve(setting: str, root: Path) -> tuple[Path | None, str]:
    """The program and where it was found, or None and what to do: the one that the setting names, else that of
    `.venv-tensorrt` in `root`, else the PATH's. It is not run: that takes half a minute."""
    if setting:
        named = Path(setting).expanduser()
        if _runs(named):
            return named.absolute(), f"the setting trtllm_serve names {named}"
        return None, f"the setting trtllm_serve names {named}, which is no program"
    own = root / ENVIRONMENT / "bin" / PROGRAM
    if _runs(own):
        return own.absolute(), f"{PROGRAM} of {ENVIRONMENT}"
    if on_path := shutil.which(PROGRAM):
        return Path(on_path).absolute(), f"{PROGRAM} on the PATH, {on_path}"
    return None, f"{PROGRAM} is not installed: run `make venv-tensorrt`, or name it in LECTERN_TRTLLM_SERVE"


def trtllm_version(program: Path) -> str | None:
    """The version of TensorRT-LLM in the program's environment, read from its metadata; None when there is none."""
    folders = [str(folder) for folder in program.resolve().parent.parent.glob("lib/python3*/*-packages")]
    return next((found.version for found in distributions(name="tensorrt-llm", path=folders)), None)


def _runs(program: Path) -> bool:
    return program.is_file() and os.access(program, os.X_OK)
