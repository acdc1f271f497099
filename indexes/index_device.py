"""Where dense indexes are searched: on the CPU, or on a GPU with the CPU behind it."""

from __future__ import annotations

from typing import Literal, Protocol

from indexes.dense import DenseIndex
from indexes.device_copy import Lock
from indexes.errors import FaissUnusable
from indexes.faiss_index import FaissIndex
from indexes.faiss_library import load_faiss


class IndexDevice(Protocol):
    def place(self, master: FaissIndex) -> DenseIndex:
        """The index that is searched there and written as the master is. Its holder closes it when it is done."""


class CpuDevice:
    """Fulfils `IndexDevice`: the master is searched itself."""

    def place(self, master: FaissIndex) -> DenseIndex:
        return master


CPU = CpuDevice()


def choose_index_device(
    wished: Literal["auto", "cpu", "cuda"], *, why: str, card: int | None, budget_bytes: int, lock: Lock
) -> tuple[IndexDevice, str]:
    """Where dense indexes are searched, and why. `why`: the reason of the wish; `card`: the GPU as CUDA counts them,
    None without one; `budget_bytes`: its memory that is planned for the index. Never fails: without a usable GPU it is
    the CPU."""
    if wished == "cpu":
        return CPU, f"exact search by FAISS on the CPU, {why}"
    if card is None:
        return CPU, "exact search by FAISS on the CPU, since no GPU is planned for it"
    from indexes.faiss_gpu import FAILURES, WORKSPACE_BYTES, GpuDevice

    if budget_bytes <= WORKSPACE_BYTES:
        return (
            CPU,
            f"exact search by FAISS on the CPU, since only {budget_bytes >> 20} MiB of the GPU are planned for it",
        )
    if problem := _problem(card):
        return CPU, f"exact search by FAISS on the CPU, since {problem}"
    try:
        device = GpuDevice(card, budget_bytes, lock)
    except FAILURES as exc:
        return CPU, f"exact search by FAISS on the CPU, since the GPU refused it ({exc})"
    return device, f"FAISS on GPU {card} with {budget_bytes >> 20} MiB, and on the CPU what does not fit"


def _problem(card: int) -> str | None:
    """Why FAISS cannot use that GPU."""
    try:
        faiss = load_faiss()
    except FaissUnusable as exc:
        return str(exc).rstrip(".")
    if not hasattr(faiss, "StandardGpuResources"):
        return f"FAISS {faiss.__version__} is a build for the CPU (requirements-gpu.txt has the other)"
    seen = int(faiss.get_num_gpus())
    if card >= seen:
        return f"FAISS {faiss.__version__} sees {seen} GPUs and not GPU {card} (an old driver, or a hidden card?)"
    return None
