"""What the installed torch can do with a GPU, learnt without loading it into this process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

# A process of its own: torch takes seconds and gigabytes of address space, and a broken driver may crash it.
_QUESTION = """
import json, torch
seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
capabilities = [torch.cuda.get_device_capability(index) for index in range(seen)]
print(json.dumps({"capabilities": capabilities, "architectures": torch.cuda.get_arch_list()}))
"""


@dataclass(frozen=True)
class TorchBuild:
    """`cuda` is the release of CUDA that it was built for ("13.0"), None for a build for the CPU."""

    version: str
    cuda: str | None


def torch_build() -> TorchBuild | None:
    """The torch that is installed; None without one."""
    found = util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        return None
    try:
        text = (Path(found.submodule_search_locations[0]) / "version.py").read_text("utf-8")
    except OSError:
        text = ""
    cuda = re.search(r"^cuda\b[^=]*= *['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return TorchBuild(metadata.version("torch"), cuda.group(1) if cuda else None)


def cuda_problem(wait_s: float) -> str | None:
    """Why torch cannot compute on this machine's GPUs; None when it can. Asks a process that loads torch."""
    try:
        # -P: else a file of the current folder could stand in for a module.
        asked = subprocess.run(
            [sys.executable, "-P", "-c", _QUESTION], capture_output=True, text=True, timeout=wait_s, check=False
        )
    except subprocess.TimeoutExpired:
        return f"torch did not say within {wait_s:.0f} s whether it sees a GPU"
    if asked.returncode:
        said = asked.stderr.strip().splitlines() or [f"it ended with status {asked.returncode}"]
        return f"torch cannot be loaded: {said[-1]}"
    answer = json.loads(asked.stdout.strip().splitlines()[-1])
    return problem_of(answer["capabilities"], answer["architectures"])


def problem_of(capabilities: list[list[int]], architectures: list[str]) -> str | None:
    """`capabilities`: of each GPU, major and minor; `architectures`: what torch has code for, as "sm_90"."""
    if not capabilities:
        return "torch sees no GPU"
    oldest = min((int(name[3:]) for name in architectures if re.fullmatch(r"sm_\d+", name)), default=0)
    for index, (major, minor) in enumerate(capabilities):
        if 10 * major + minor < oldest:
            return f"torch has no code for GPU {index}, whose compute capability is {major}.{minor}"
    return None
