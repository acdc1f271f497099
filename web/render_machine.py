"""The device panel as HTML: memory by part, the engines in the order they are asked, their traffic, what was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from rag.machine import EngineStatus, GpuStatus, MachineStatus
from web.render import counted

# What a memory plan names, as the panel shows it: `models plan` has each part by itself.
SHOWN_AS = dict.fromkeys(("activations", "engine workspace", "NCCL buffers", "CUDA contexts"), "working memory")
COLOURS = {
    "Lectern": 1,
    "weights": 1,
    "KV cache": 2,
    "embedder": 3,
    "reranker": 4,
    "vector index": 5,
    "working memory": 6,
    "head-room": 7,
    "other programs": 0,
    "not planned": 0,
    "in use": 0,
}
ANY_OTHER = 8
PLACES = {"local": "on this machine", "self-hosted": "self-hosted at {host}", "remote": "remote at {host}"}


def render_machine(status: MachineStatus) -> str:
    gpus = "".join(_gpu(gpu, len(status.gpus) > 1) for gpu in status.gpus) or _no_gpu(status)
    return (
        f'<div class="lx-machine">{gpus}{_memory(status)}{_traffic(status)}{_engines(status.engines)}'
        f"{_choices(status.choices)}</div>"
    )


def _no_gpu(status: MachineStatus) -> str:
    return f"<p>No NVIDIA GPU: what runs here runs on {counted(status.cores, 'core')}.</p>"


def _gpu(gpu: GpuStatus, numbered: bool) -> str:
    """The bar shows what is planned, its mark what the driver says is taken now: an engine takes its share as it
    loads, and other programs may take some, too."""
    parts = _parts(gpu)
    name = f"GPU {gpu.index}: {gpu.name}" if numbered else gpu.name
    return (
        f'<section class="lx-device"><h3>{escape(name)}</h3>{_bar(parts, gpu.memory_bytes, gpu.used_bytes)}'
        f'<p class="lx-in-use-now">{_gib(gpu.used_bytes)} of {_gib(gpu.memory_bytes)} GiB in use now</p>'
        f"{_legend(parts, gpu)}</section>"
    )


def _parts(gpu: GpuStatus) -> dict[str, int]:
    """Bytes by what is shown; what is taken beyond the plan is a part, too."""
    parts: dict[str, int] = {}
    for part in gpu.parts:
        name = SHOWN_AS.get(part.name, part.name)
        parts[name] = parts.get(name, 0) + part.bytes
    beyond = gpu.used_bytes - sum(parts.values())
    if beyond > 0:
        parts["not planned" if gpu.parts else "in use"] = beyond
    return parts


def _bar(parts: Mapping[str, int], whole: int, used: int | None = None) -> str:
    """For the eye only: the same numbers stand beside it as text."""
    whole = max(whole, sum(parts.values()), 1)
    pieces = "".join(
        f'<span data-part="{COLOURS.get(name, ANY_OTHER)}" style="width:{size / whole:.3%}" '
        f'title="{escape(name, quote=True)}"></span>'
        for name, size in parts.items()
    )
    mark = f'<span class="lx-in-use" style="left:{min(1.0, used / whole):.3%}"></span>' if used is not None else ""
    return f'<div class="lx-memory" aria-hidden="true"><div class="lx-parts">{pieces}</div>{mark}</div>'


def _legend(parts: Mapping[str, int], gpu: GpuStatus) -> str:
    left = gpu.memory_bytes - sum(parts.values())
    rows = [(str(COLOURS.get(name, ANY_OTHER)), name, size) for name, size in parts.items()]
    rows.append(("free", "free", left) if left >= 0 else ("free", "too much", -left))
    title = "Planned, in GiB" if gpu.parts else "In GiB"
    items = "".join(
        f'<li data-part="{colour}"><span>{escape(name)}</span><span>{_gib(size)}</span></li>'
        for colour, name, size in rows
    )
    return f'<p class="lx-legend-title">{title}</p><ul class="lx-legend">{items}</ul>'


def _memory(status: MachineStatus) -> str:
    if not status.memory_bytes:
        return f'<p class="lx-device">Lectern uses {_gib(status.memory_used_bytes)} GiB of memory</p>'
    used = min(status.memory_used_bytes, status.memory_bytes)
    said = f"{_gib(used)} of {_gib(status.memory_bytes)} GiB used by Lectern"
    bar = _bar({"Lectern": used}, status.memory_bytes)
    return f'<section class="lx-device"><h3>Main memory</h3>{bar}<p>{said}</p></section>'


def _traffic(status: MachineStatus) -> str:
    rate = status.tokens_per_s
    figures = (
        (f"{rate:.0f}" if rate >= 10 or not rate else f"{rate:.1f}", "tokens/s"),
        (f"{status.running:,}", "running"),
        (f"{status.waiting:,}", "waiting"),
    )
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for value, name in figures)
    return f'<dl class="lx-traffic">{rows}</dl>'


def _engines(engines: Sequence[EngineStatus]) -> str:
    if not engines:
        return '<p class="lx-hint">No language model: answers are quoted from the documents.</p>'
    rows = "".join(_engine(engine) for engine in engines)
    order = '<p class="lx-hint">The first that is ready answers; without any, answers are quoted.</p>'
    return f'<section class="lx-engines"><h3>Language models</h3><ol>{rows}</ol>{order}</section>'


def _engine(engine: EngineStatus) -> str:
    place = escape(PLACES[engine.place].format(host=engine.host))
    detail = f'<span class="lx-engine-detail">{escape(engine.detail)}</span>' if engine.detail else ""
    return (
        f'<li class="lx-engine" data-state="{escape(engine.state, quote=True)}">'
        f'<span class="lx-engine-model">{escape(engine.model)}</span>'
        f'<span class="lx-engine-state">{escape(engine.state)}</span>'
        f'<span class="lx-engine-place" data-place="{engine.place}">{escape(engine.name)}, {place}</span>{detail}</li>'
    )


def _choices(choices: Sequence[str]) -> str:
    if not choices:
        return ""
    rows = "".join(f"<li>{escape(choice)}</li>" for choice in choices)
    return f'<section class="lx-choices"><h3>What was chosen, and why</h3><ul>{rows}</ul></section>'


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f}"
