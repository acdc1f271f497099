"""A stand-in for the GPU classes of FAISS, over its CPU classes: the same constructors, the same refusals.

It lets `indexes/faiss_gpu.py` run where there is no GPU, so that its calls, lists, probes and codes are tried for real;
what the kernels of a GPU do is not. Names and arguments are those of FAISS 1.15.1's wheels.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np


class _Config:
    """Takes the attributes that the real one has, and no others."""

    known: tuple[str, ...] = ("device", "memorySpace", "use_cuvs")

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.known:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        super().__setattr__(name, value)


class _FlatConfig(_Config):
    known = (*_Config.known, "storeTransposed", "useFloat16")


class _IvfPqConfig(_Config):
    known = (*_Config.known, "indicesOptions", "interleavedLayout", "useFloat16LookupTables", "usePrecomputedTables")


class _Resources:
    def __init__(self) -> None:
        self.temporary = self.pinned = -1

    def setTempMemory(self, count: int) -> None:  # noqa: N802  # FAISS's name
        self.temporary = count

    def setPinnedMemory(self, count: int) -> None:  # noqa: N802  # FAISS's name
        self.pinned = count


class IndexOnCpu:
    """An index of the CPU that refuses what one of the GPU refuses; `memory` vectors fit."""

    memory = 10**9

    def __init__(self, index: Any, most_results: int = 2048) -> None:
        self._index = index
        self._most_results = most_results

    @property
    def nprobe(self) -> int:
        return int(self._index.nprobe)

    @nprobe.setter
    def nprobe(self, probes: int) -> None:
        self._index.nprobe = probes

    def train(self, vectors: np.ndarray) -> None:
        self._check(vectors)
        self._index.train(vectors)

    def add(self, vectors: np.ndarray) -> None:
        self._check(vectors)
        if self._index.ntotal + len(vectors) > self.memory:
            raise RuntimeError(
                "Error in StandardGpuResourcesImpl::allocMemory() at x.cpp:1: Error: 'err == cudaSuccess' "
                "failed: StandardGpuResources: alloc fail (cudaMalloc error out of memory [2])\n"
            )
        self._index.add(vectors)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        self._check(queries)
        if k > self._most_results:
            raise RuntimeError(f"Error in x() at x.cu:1: Error: 'k <= maxK' failed: GPU index only supports k <= {k}")
        found: tuple[np.ndarray, np.ndarray] = self._index.search(queries, k)
        return found

    def reclaimMemory(self) -> int:  # noqa: N802  # FAISS's name
        return 0

    def _check(self, vectors: np.ndarray) -> None:
        assert vectors.dtype == np.float32
        assert vectors.flags.c_contiguous
        assert vectors.shape[1] == self._index.d


def _flat(_resources: _Resources, dimension: int, config: _FlatConfig) -> IndexOnCpu:
    assert config.useFloat16
    return IndexOnCpu(faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT))


def _ivf_pq(
    _resources: _Resources, dimension: int, lists: int, code: int, bits: int, metric: int, config: _IvfPqConfig
) -> IndexOnCpu:
    assert (bits, metric) == (8, faiss.METRIC_INNER_PRODUCT)
    assert dimension % code == 0
    if code > 48 and not config.useFloat16LookupTables:
        raise RuntimeError("Error: 'x' failed: Consider useFloat16LookupTables and/or reduce parameters")
    return IndexOnCpu(faiss.IndexIVFPQ(faiss.IndexFlatIP(dimension), dimension, lists, code, bits, metric))


class _Cagra(IndexOnCpu):
    def __init__(self, _resources: _Resources, dimension: int, metric: int, config: _Config) -> None:
        assert metric == faiss.METRIC_L2
        assert config.device == 0
        super().__init__(faiss.IndexHNSWFlat(dimension, 32), most_results=512)

    def train(self, vectors: np.ndarray) -> None:
        super().add(vectors)

    def add(self, _vectors: np.ndarray) -> None:
        raise RuntimeError("Error: 'x' failed: adding vectors is not supported by GpuIndexCagra.")

    def search(
        self, queries: np.ndarray, k: int, *, params: SimpleNamespace | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        assert params is not None
        assert k <= params.itopk_size
        self._index.hnsw.efSearch = params.itopk_size
        return super().search(queries, k)


def gpu_faiss(*, cuvs: bool = False) -> SimpleNamespace:
    """The module as the wheel `faiss-gpu` shows it, or `faiss-gpu-cuvs`, on a machine with one GPU."""
    module = SimpleNamespace(
        __version__=faiss.__version__,
        METRIC_INNER_PRODUCT=faiss.METRIC_INNER_PRODUCT,
        METRIC_L2=faiss.METRIC_L2,
        INDICES_32_BIT=2,
        StandardGpuResources=_Resources,
        GpuIndexFlatConfig=_FlatConfig,
        GpuIndexFlatIP=_flat,
        GpuIndexIVFPQConfig=_IvfPqConfig,
        GpuIndexIVFPQ=_ivf_pq,
        get_num_gpus=lambda: 1,
    )
    if cuvs:
        module.GpuIndexCagra = _Cagra
        module.GpuIndexCagraConfig = _Config
        module.SearchParametersCagra = SimpleNamespace
    return module
