"""Which profile runs a language model on this machine, and why: pure functions of the devices and the wishes.

A GPU comes before the CPU, what runs as wished before what must be reduced, a larger model before a smaller one, and
then the precisions in the order of `precisions.PREFERENCE`, with as few GPUs as will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.catalog import Entry
from models.devices import Devices
from models.errors import ImpossibleProfile
from models.planning import reasons
from models.planning.memory import shape_of
from models.planning.options import FITS, Option, options_for
from models.planning.placement import chosen_gpus
from models.planning.precisions import rank
from models.planning.profile import Profile
from models.planning.reductions import GOOD_CONTEXT_TOKENS
from models.planning.wishes import Wishes

CPU_PARAMETERS = 4_000_000_000
"""Up to here a model is proposed for the CPU. Qwen of 1.5B makes 18 tokens a second on two cores, 3B about half."""


def choose_profile(devices: Devices, wishes: Wishes) -> tuple[Profile, str]:
    """The best profile for this machine, and the reason for a person to read.

    Always gives one: when nothing can run, an incompatible one, and then the reason says what would run here. Raises
    `ImpossibleProfile` when `wishes.profile` or `wishes.gpus` name what this machine or these models do not have.
    """
    options = ranked_options(devices, wishes)
    best = _named(options, wishes.profile) if wishes.profile else options[0]
    return best.profile, _explained(best, options, devices, wishes)


def choose_model(devices: Devices, wishes: Wishes, entries: Sequence[Entry]) -> tuple[Profile, str]:
    """The best profile of the largest family among `entries` that serves well, else of the largest that runs at all;
    for the CPU only of those that are quick enough there. `wishes.models` is not looked at.

    A profile serves well as wished, and also with a shorter context, as long as it is a good one: a larger model is
    worth more than room for more passages."""
    best = _best_of_families(devices, wishes, entries)
    family = tuple(entry for entry in entries if entry.family == best.entry.family)
    return choose_profile(devices, replace(wishes, models=family, others=tuple(entries)))


def ranked_options(devices: Devices, wishes: Wishes) -> list[Option]:
    """Every profile of every candidate, in order of preference, the incompatible ones at the end."""
    return sorted(options_for(devices, wishes), key=_preference)


def _preference(option: Option) -> tuple[object, ...]:
    """Among what cannot run, what comes nearest: the least memory."""
    profile = option.profile
    if profile.fit == "incompatible":
        on_cpu = option.entry.backend == "llama.cpp" and not profile.gpus
        return (2, option.impossible, on_cpu, option.required_bytes)
    size = -shape_of(option.entry).parameters
    llama = option.entry.backend == "llama.cpp"
    return (int(not profile.gpus), FITS.index(profile.fit), size, llama, rank(profile.precision), len(profile.gpus))


def _best_of_families(devices: Devices, wishes: Wishes, entries: Sequence[Entry]) -> Option:
    families: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: -shape_of(entry).parameters):
        families.setdefault(entry.family, []).append(entry)
    ranked = [ranked_options(devices, replace(wishes, models=tuple(family))) for family in families.values()]
    if wishes.profile:
        ranked = [named for options in ranked if (named := [o for o in options if o.profile.name == wishes.profile])]
    if not ranked:
        raise ImpossibleProfile(f"no model of the catalog has a profile {wishes.profile!r} here")
    best = [options[0] for options in ranked]
    sensible = [option for option in best if option.profile.fit != "incompatible" and _is_quick(option)]
    return min(sensible or best, key=lambda option: (not option.profile.gpus, not _serves_well(option, wishes)))


def _serves_well(option: Option, wishes: Wishes) -> bool:
    """Nothing but the context is shorter than wished, and that is long enough for passages and an answer."""
    profile = option.profile
    full = profile.concurrency == wishes.concurrency and profile.shares_gpu == wishes.shares_gpu
    return profile.fit == "runnable" or (full and profile.context_tokens >= GOOD_CONTEXT_TOKENS)


def _is_quick(option: Option) -> bool:
    return bool(option.profile.gpus) or shape_of(option.entry).parameters <= CPU_PARAMETERS


def _named(options: Sequence[Option], name: str) -> Option:
    """The option of that name, whatever its class, as long as the card can compute in its precision."""
    named = [option for option in options if option.profile.name == name]
    possible = list(dict.fromkeys(option.profile.name for option in options if not option.impossible))
    if not named or named[0].impossible:
        why = named[0].reason if named else f"no profile of {options[0].entry.family} is named {name!r}"
        raise ImpossibleProfile(f"{why}; possible here are: {', '.join(possible) or 'none'}")
    return named[0]


def _explained(best: Option, options: Sequence[Option], devices: Devices, wishes: Wishes) -> str:
    """The option's own reason, and where it is not what one would hope for, why not, and what would do."""
    if best.profile.fit == "incompatible":
        proposals = [text for text in (_smaller(best, devices, wishes), _more_cards(best, devices, wishes)) if text]
        return f"{best.reason}; try {', or '.join(proposals)}" if proposals else best.reason
    if wishes.profile:
        return f"{best.reason} (the profile that the settings name)"
    if best.profile.gpus:
        return best.reason
    for_gpu = [option.reason for option in options if option.entry.backend == "tensorrt-llm"]
    why_not = for_gpu[:1] if devices.gpus else [reasons.NO_GPU]
    return ", since ".join([best.reason, *why_not])


def _smaller(best: Option, devices: Devices, wishes: Wishes) -> str | None:
    """The best other model that runs here."""
    others = [entry for entry in wishes.others if entry.family != best.entry.family]
    if not others:
        return None
    other = _best_of_families(devices, replace(wishes, profile=""), others)
    return None if other.profile.fit == "incompatible" else reasons.title(other.entry)


def _more_cards(best: Option, devices: Devices, wishes: Wishes) -> str | None:
    """How many such cards would do."""
    gpus = chosen_gpus(devices, wishes.gpus)
    for count in (2, 4, 8) if gpus and best.profile.gpus else ():
        cards = tuple(replace(gpus[0], index=index) for index in range(count))
        options = ranked_options(replace(devices, gpus=cards), replace(wishes, gpus=()))
        if count > len(gpus) and options[0].profile.gpus and options[0].profile.fit != "incompatible":
            return f"{count} such cards"
    return None
