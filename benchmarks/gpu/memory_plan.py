"""Section 4: the memory plan's estimates beside what is really taken, part by part.

What torch allocates is exact; what the driver reports for the card is whole MiB and counts every program on it, so
nothing else should run there. TensorRT-LLM is not on the machine: its workspace stays an estimate.
"""

from __future__ import annotations

from functools import partial

from benchmarks.gpu.embedder_folder import embedder_folder
from benchmarks.gpu.llama import cache_bytes, llamas, prefill, random_llama, weight_bytes
from benchmarks.gpu.measuring import Meter, card_used_bytes, mib
from benchmarks.gpu.options import Options
from benchmarks.gpu.report import Missing, Report
from benchmarks.gpu.searching import cpu_index, ensure_on_gpu, open_device, vectors_like_texts
from benchmarks.gpu.texts import chunks
from models.catalog import Entry, Shape
from models.embedding.torch_embedder import TorchEmbedder
from models.planning import memory
from models.planning.wishes import MINILM_BYTES

FAMILIES = ("llama-3.2-1b-instruct", "llama-3.2-3b-instruct", "llama-3.1-8b-instruct")
LARGEST = "llama-3.3-70b-instruct"
VECTORS = 250_000
DIMENSION = 384
PART = "Parts"


def measure(options: Options, report: Report) -> None:
    with report.step("CUDA's context"):
        _context(options, report)
    with report.step("embedder"):
        _embedder(options, report)
    with report.step("vector index"):
        _index(options, report)
    for name, shape, entry in llamas(FAMILIES, small=options.small):
        with report.step(name):
            _llama(name, shape, entry, options, report)
        Meter(options.device).release()
    report.note(
        "Activations are those of transformers; TensorRT-LLM fuses more steps, and takes a workspace of its own."
    )
    report.skip(LARGEST, "its 141 GB of weights in bf16 leave no room for a cache on any single card in reach")


def _context(options: Options, report: Report) -> None:
    """First of all, while this process has none."""
    before = card_used_bytes()
    if options.device == "cpu" or before is None:
        raise Missing("there is no GPU to have one on")
    import torch

    square = torch.ones((1024, 1024), device=options.device, dtype=torch.float16)
    empty = (card_used_bytes() or 0) - before - torch.cuda.memory_reserved()
    (square @ square).sum().item()
    loaded = (card_used_bytes() or 0) - before - torch.cuda.memory_reserved()
    _part(report, "CUDA context, empty", memory.CONTEXT_BYTES, empty)
    _part(report, "CUDA context with cuBLAS", memory.CONTEXT_BYTES, loaded)


def _embedder(options: Options, report: Report) -> None:
    meter = Meter(options.device)
    folder, _ = embedder_folder(options)
    before = meter.allocated_bytes()
    embedder = TorchEmbedder(folder, options.device, precision="fp32" if options.device == "cpu" else "fp16")
    texts = chunks(8 if options.small else 512)
    embedder.embed_passages(texts)
    after = meter.allocated_bytes()
    peak = meter.peak_bytes(partial(embedder.embed_passages, texts))
    if before is None or after is None or peak is None:
        raise Missing("torch counts no memory on the CPU")
    _part(report, "embedder: weights and one full batch", MINILM_BYTES, after - before + peak)


def _index(options: Options, report: Report) -> None:
    if options.device == "cpu":
        raise Missing("there is no GPU to put it on")
    master = cpu_index(*vectors_like_texts(VECTORS, DIMENSION))
    before = card_used_bytes() or 0
    index = open_device(options).place(master)
    index.prepare()
    ensure_on_gpu(index)
    taken = (card_used_bytes() or 0) - before
    _part(report, f"vector index of {VECTORS:,}", memory.index_bytes(VECTORS, DIMENSION), taken)
    report.note(f"The index is searched {index.place}; it counts {mib(index.device_bytes)} MiB of vectors.")
    index.close()


def _llama(name: str, shape: Shape, entry: Entry, options: Options, report: Report) -> None:
    meter, used_before = Meter(options.device), card_used_bytes()
    before = meter.allocated_bytes() or 0
    model = random_llama(shape, options.device)
    after = meter.allocated_bytes()
    report.row(
        "Weights in bf16",
        model=name,
        catalog_mib=None if options.small else mib(entry.total_bytes),
        parameters_mib=mib(weight_bytes(model)),
        allocated_mib=mib(None if after is None else after - before),
    )
    tokens = 64 if options.small else memory.MAX_NUM_TOKENS
    prefill(model, 16)
    measured = _kv_bytes(model, tokens, meter)
    formula = memory.kv_bytes_per_token(shape, "bf16")
    report.row("KV cache in bf16", model=name, tokens=tokens, formula_bytes=formula, **measured)
    peak = meter.peak_bytes(partial(prefill, model, tokens))
    activations = memory.activation_bytes(shape, 1)
    step_bytes = None if peak is None else peak - formula * tokens
    report.row("Activations", model=name, tokens=tokens, planned_mib=mib(activations), measured_mib=mib(step_bytes))
    used_after = card_used_bytes()
    if used_after is not None and used_before is not None:
        planned = entry.total_bytes + formula * tokens + activations
        _part(report, f"{name}: weights, {tokens} tokens, activations", planned, used_after - used_before)


def _kv_bytes(model: object, tokens: int, meter: Meter) -> dict[str, float | None]:
    """Bytes a token: by the cache's own tensors, and by how much more is allocated for twice the tokens."""
    levels = []
    for count in (tokens // 2, tokens):
        before = meter.allocated_bytes()
        cache, _ = prefill(model, count)
        after = meter.allocated_bytes()
        levels.append(None if after is None or before is None else after - before)
        held = cache_bytes(cache) / count
        del cache
    half, full = levels
    slope = None if half is None or full is None else (full - half) / (tokens - tokens // 2)
    return {"tensors_bytes": held, "allocated_bytes": slope}


def _part(report: Report, name: str, planned: int, measured: int) -> None:
    share = round(measured / planned, 3)
    report.row(PART, part=name, planned_mib=mib(planned), measured_mib=mib(measured), measured_of_planned=share)
