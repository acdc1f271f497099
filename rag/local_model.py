"""Which language model runs on this machine, and how: from the settings, the catalog, the cache and the GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.catalog import Catalog, Entry
from models.devices import Devices, choose_llama_threads
from models.download import is_installed
from models.embedding.weights import stored_precision
from models.engines.llama_cpp import find_cuda_build
from models.engines.trtllm_installation import find_trtllm_serve
from models.errors import UnknownModel
from models.planning.checkpoint import read_adapter, read_checkpoint
from models.planning.choice import choose_model, choose_profile
from models.planning.profile import Profile
from models.planning.wishes import Wishes, encoder_bytes
from rag.errors import BadInput
from rag.settings import Settings

AUTOMATIC = "auto"
TENSORRT_PROFILE = "trtllm-"
"""How the names of TensorRT-LLM's profiles begin."""


@dataclass(frozen=True)
class Installed:
    """What is there to run models with: `trtllm_serve` with the reason why it is there or not, and llama.cpp's CUDA
    build."""

    trtllm_serve: Path | None
    trtllm_reason: str
    llama_cuda: bool


@dataclass(frozen=True)
class LocalModel:
    """`path` is one's own checkpoint; without it the weights lie in the cache. `trtllm_serve` runs it when its profile
    says TensorRT-LLM."""

    entry: Entry
    profile: Profile
    path: Path | None
    trtllm_serve: Path | None

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(".gguf") if self.path else self.entry.name


def choose_local_model(
    settings: Settings, catalog: Catalog, devices: Devices, installed: Installed
) -> tuple[LocalModel | None, str]:
    """The model and why it, or None and why none runs here. Raises BadInput for a setting that names what there is not,
    and `ModelError` for a checkpoint, adapter or profile that cannot be used."""
    if not settings.local_engine:
        return None, "none runs on this machine, as the settings say"
    if settings.model_path:
        path = settings.model_path.expanduser().absolute()
        if not path.exists():
            raise BadInput(f"LECTERN_MODEL_PATH = {settings.model_path}: there is no such folder or GGUF file.")
        return _fitted((read_checkpoint(path),), settings, catalog, devices, installed, path)
    if settings.llm == AUTOMATIC:
        return _automatic(settings, catalog, devices, installed)
    try:
        candidates = catalog.language_models(settings.llm)
    except UnknownModel as exc:
        raise BadInput(f"LECTERN_LLM = {settings.llm!r}: {exc}; or “{AUTOMATIC}”.") from exc
    return _fitted(_in_cache(candidates, settings.cache) or candidates, settings, catalog, devices, installed, None)


def wishes_of(
    settings: Settings, catalog: Catalog, models: Sequence[Entry], *, llama_cuda: bool, embeds_on_gpu: bool
) -> Wishes:
    """What the settings ask to run, as planning takes it."""
    embedder = catalog.entry(settings.embedder)
    wishes = Wishes(
        models=tuple(models),
        others=tuple(entry for entry in catalog.entries if entry.kind == "llm" and entry.shape),
        context_tokens=settings.context_tokens,
        concurrency=settings.concurrency,
        dimension=embedder.dimension or Wishes.dimension,
        embedder_bytes=encoder_bytes(embedder.total_bytes, embedder.precision),
        reranker_bytes=_reranker_bytes(settings.reranker, catalog) if settings.reranker else 0,
        adapters=tuple(read_adapter(folder.expanduser()) for folder in settings.lora),
        profile=settings.profile,
        gpus=settings.gpus,
        llama_cuda=llama_cuda,
    )
    return wishes if embeds_on_gpu else wishes.on_cpu()


def _automatic(
    settings: Settings, catalog: Catalog, devices: Devices, installed: Installed
) -> tuple[LocalModel | None, str]:
    """The best checkpoint for TensorRT-LLM that is in the cache and fits the GPUs, else the embedded model."""
    engines = [entry for entry in catalog.entries if entry.kind == "llm" and entry.backend == "tensorrt-llm"]
    if not devices.gpus:
        why = "no NVIDIA GPU was found"
    elif installed.trtllm_serve is None:
        why = installed.trtllm_reason
    elif not (here := _in_cache(engines, settings.cache)):
        why = "no checkpoint for TensorRT-LLM is in the cache; `python app.py models plan` names those that fit"
    else:
        wishes = _wishes(settings, catalog, here, devices, installed)
        profile, why = choose_model(devices, wishes, here)
        if profile.gpus and profile.fit != "incompatible":
            entry = next(entry for entry in here if entry.name == profile.model)
            return LocalModel(entry, profile, None, installed.trtllm_serve), f"{entry.name} by TensorRT-LLM, {why}"
    if settings.profile.startswith(TENSORRT_PROFILE):
        return None, f"{settings.profile} cannot run: {why}"
    embedded = next(entry for entry in catalog.embedded() if entry.kind == "llm")
    model, how = _fitted((embedded,), settings, catalog, devices, installed, None)
    return model, f"{how}; it is the embedded one, since {why}"


def _fitted(
    candidates: Sequence[Entry],
    settings: Settings,
    catalog: Catalog,
    devices: Devices,
    installed: Installed,
    path: Path | None,
) -> tuple[LocalModel | None, str]:
    """The best of the candidates that something here can run. llama.cpp is let try also what seems not to fit."""
    runs = [entry for entry in candidates if entry.backend == "llama.cpp" or installed.trtllm_serve]
    if not runs or (settings.profile.startswith(TENSORRT_PROFILE) and not installed.trtllm_serve):
        wanted = settings.profile or candidates[0].name
        return None, f"{wanted} cannot run: {installed.trtllm_reason}"
    profile, why = choose_profile(devices, _wishes(settings, catalog, runs, devices, installed))
    entry = next(entry for entry in runs if entry.name == profile.model)
    model = LocalModel(entry, profile, path, installed.trtllm_serve)
    if profile.backend == "tensorrt-llm":
        runnable = profile.fit != "incompatible"
        return (
            (model, f"{model.name} by TensorRT-LLM, {why}") if runnable else (None, f"{model.name} cannot run: {why}")
        )
    if settings.lora:
        raise BadInput(f"LECTERN_LORA: adapters need TensorRT-LLM, and {model.name} runs by llama.cpp here.")
    how = why if profile.gpus or profile.fit == "incompatible" else choose_llama_threads(devices)[1]
    if path is None and not _in_cache((entry,), settings.cache):
        how += f"; its weights are not here yet: `python app.py models pull {entry.name}`"
    return model, f"{model.name} by llama.cpp, {how}"


def _wishes(
    settings: Settings, catalog: Catalog, models: Sequence[Entry], devices: Devices, installed: Installed
) -> Wishes:
    on_gpu = bool(devices.gpus) and settings.device != "cpu"
    return wishes_of(settings, catalog, models, llama_cuda=installed.llama_cuda, embeds_on_gpu=on_gpu)


def find_installed(setting: str, devices: Devices) -> Installed:
    """Asks llama.cpp for its build only where there is a GPU, since that takes a process of its own."""
    program, reason = find_trtllm_serve(setting, Path(__file__).resolve().parents[1])
    return Installed(program, reason, bool(devices.gpus) and find_cuda_build()[0])


def _in_cache(entries: Sequence[Entry], cache: Path) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if is_installed(entry, cache))


def _reranker_bytes(reranker: str, catalog: Catalog) -> int:
    """On the GPU; `reranker` is a folder, or a model of the catalog."""
    folder = Path(reranker).expanduser()
    if folder.is_dir():
        weights_bytes = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        return encoder_bytes(weights_bytes, stored_precision(folder))
    entry = catalog.entry(reranker)
    return encoder_bytes(entry.total_bytes, entry.precision)
