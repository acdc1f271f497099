"""`models plan` at the terminal: which models run on a machine, and what the chosen one would take of its memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.catalog import Catalog, Entry
    from models.devices import Devices
    from models.planning.options import Option
    from models.planning.profile import Profile
    from models.planning.wishes import Wishes
    from rag.settings import Settings


@dataclass(frozen=True)
class Asked:
    """What the command line asks to plan for, where it differs from this machine and its settings."""

    cards: str | None = None
    context_tokens: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True)
class Plan:
    """`families` has every profile of each family, best first; `chosen` is the one to run of all of them."""

    machine: str
    devices: Devices
    wishes: Wishes
    families: Mapping[str, tuple[Option, ...]]
    chosen: Profile
    reason: str
    next_step: str


def plan_models(name: str | None, settings: Settings, asked: Asked, *, as_json: bool) -> int:
    """Print the plan for the family or model `name`; without it for one's own checkpoint if the settings name one, else
    for every language model. Returns the exit status; raises `ModelError` for what cannot be planned."""
    plan = make_plan(name, settings, asked)
    if as_json:
        print(json.dumps(_as_json(plan)))
        return 0
    from web.model_plan_view import show_plan

    show_plan(plan)
    return 0


def make_plan(name: str | None, settings: Settings, asked: Asked) -> Plan:
    """Raises `ModelError` for names, cards and checkpoints that cannot be used."""
    from models.catalog import load_catalog
    from models.planning.choice import choose_model, choose_profile, ranked_options

    catalog = load_catalog()
    machine, devices = _machine(asked.cards)
    models = _candidates(name, settings, catalog)
    wishes = _wishes(models, settings, catalog, devices, asked)
    families = {entry.family: tuple(each for each in models if each.family == entry.family) for entry in models}
    one = len(families) == 1
    chosen, reason = choose_profile(devices, wishes) if one else choose_model(devices, wishes, models)
    return Plan(
        machine=machine,
        devices=devices,
        wishes=wishes,
        families={
            family: tuple(ranked_options(devices, replace(wishes, models=entries)))
            for family, entries in families.items()
        },
        chosen=chosen,
        reason=reason,
        next_step=_next_step(next(entry for entry in models if entry.name == chosen.model), chosen, settings.cache),
    )


def _machine(cards: str | None) -> tuple[str, Devices]:
    from models.devices import detect
    from models.planning.cards import match

    here = detect()
    if not cards:
        return "this machine", here
    devices, taken_for = match(cards, cores=here.cores, memory_bytes=here.memory_bytes)
    return taken_for, devices


def _candidates(name: str | None, settings: Settings, catalog: Catalog) -> tuple[Entry, ...]:
    from models.planning.checkpoint import read_checkpoint

    if name:
        return catalog.language_models(name)
    if settings.model_path:
        return (read_checkpoint(settings.model_path.expanduser()),)
    return _plannable(catalog)


def _plannable(catalog: Catalog) -> tuple[Entry, ...]:
    return tuple(entry for entry in catalog.entries if entry.kind == "llm" and entry.shape)


def _wishes(models: tuple[Entry, ...], settings: Settings, catalog: Catalog, devices: Devices, asked: Asked) -> Wishes:
    """What the settings wish, and what the command line says on top. Nobody knows which llama.cpp another machine has:
    for its cards no CUDA build is reckoned with."""
    from models.engines.llama_cpp import find_cuda_build
    from rag.local_model import wishes_of

    llama_cuda = bool(devices.gpus) and not asked.cards and find_cuda_build()[0]
    wishes = wishes_of(
        settings, catalog, models, llama_cuda=llama_cuda, embeds_on_gpu=bool(devices.gpus) and settings.device != "cpu"
    )
    return replace(
        wishes,
        context_tokens=asked.context_tokens or wishes.context_tokens,
        concurrency=asked.concurrency or wishes.concurrency,
        gpus=() if asked.cards else wishes.gpus,
    )


def _next_step(entry: Entry, chosen: Profile, cache: Path) -> str:
    """How to get and use the model; nothing for what cannot run, and for one's own checkpoint."""
    from models.download import is_installed

    if chosen.fit == "incompatible" or not (entry.files or entry.repository or entry.recipe):
        return ""
    if entry.recipe:
        return f"Nobody publishes this form; make it with NVIDIA's Model Optimizer: {entry.recipe}"
    fetch = f"Fetch it: python app.py models pull {entry.name}. " if not is_installed(entry, cache) else ""
    return f"{fetch}Use it: LECTERN_LLM={entry.name}"


def _as_json(plan: Plan) -> dict[str, object]:
    return {
        "machine": plan.machine,
        "devices": asdict(plan.devices),
        "context_tokens": plan.wishes.context_tokens,
        "concurrency": plan.wishes.concurrency,
        "models": [
            {"model": family, "family": family, "profiles": [_option_json(each) for each in options]}
            | {
                "chosen": _best(options),
                "licence": options[0].entry.licence,
                "attribution": options[0].entry.attribution,
            }
            for family, options in plan.families.items()
        ],
        "choice": {**_profile_json(plan.chosen), "reason": plan.reason, "next_step": plan.next_step},
    }


def _best(options: tuple[Option, ...]) -> str | None:
    """The profile with which the family would run; None when it cannot."""
    return None if options[0].profile.fit == "incompatible" else options[0].profile.name


def _option_json(option: Option) -> dict[str, object]:
    requirement = {"requires_bytes": option.required_bytes, "requires": option.requirement, "reason": option.reason}
    return {**_profile_json(option.profile), **requirement}


def _profile_json(profile: Profile) -> dict[str, object]:
    fields = asdict(profile)
    return {"class": fields.pop("fit"), **fields, "shares_gpu": profile.shares_gpu}
