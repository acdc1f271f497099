"""A memory plan as a person reads it at the terminal: profiles by class, then the chosen one's memory as a chart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from models.devices import Devices
    from models.planning.options import Option
    from models.planning.profile import MemoryPlan
    from web.model_plan import Plan

_HEADINGS = {
    "runnable": "Compatible and runnable",
    "low memory": "Compatible, but low memory",
    "incompatible": "Incompatible",
}
_BAR_CELLS = 40


def show_plan(plan: Plan) -> None:
    console = Console(highlight=False, markup=False)
    for line in _machine(plan.machine, plan.devices):
        console.print(line, soft_wrap=True)
    wished = f"{plan.wishes.concurrency} × {plan.wishes.context_tokens:,} tokens"
    console.print(f"Planned for {wished} (answers at a time × context)\n", soft_wrap=True)
    options = [option for family in plan.families.values() for option in family]
    for fit, heading in _HEADINGS.items():
        if listed := [option for option in options if option.profile.fit == fit]:
            console.print(Text(heading, "bold"))
            console.print(_profiles(listed), "", soft_wrap=True)
    console.print(Text(f"{plan.chosen.model}, profile {plan.chosen.name}: {plan.chosen.fit}", "bold"), soft_wrap=True)
    for title, chart in _charts(plan.chosen.memory):
        console.print(title, soft_wrap=True)
        console.print(chart)
    console.print(f"\n{plan.reason}.", soft_wrap=True)
    if plan.next_step:
        console.print(plan.next_step, soft_wrap=True)


def _machine(name: str, devices: Devices) -> Iterator[str]:
    yield f"Plan for {name}"
    for gpu in devices.gpus:
        memory = f"{gpu.free_bytes / 2**30:.1f} of {gpu.memory_bytes / 2**30:.1f} GiB free"
        yield f"GPU {gpu.index}: {gpu.name}, {memory}, compute capability {'.'.join(map(str, gpu.compute_capability))}"
    if not devices.gpus:
        yield "No NVIDIA GPU"
    memory = f"{devices.memory_bytes / 2**30:.1f} GiB" if devices.memory_bytes else "an unknown amount"
    yield f"{devices.cores} cores, {memory} of main memory"


def _profiles(options: list[Option]) -> Table:
    """What is impossible is told by its reason, the rest by its memory, as NIM lists it."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for overflow in ("fold", "fold", "fold"):
        table.add_column(overflow=overflow)
    for option in options:
        told = option.reason.partition(": ")[2] if option.impossible else option.requirement
        table.add_row(Text(f"  {option.entry.family}"), Text(option.profile.name), Text(told))
    return table


def _charts(plans: tuple[MemoryPlan, ...]) -> Iterator[tuple[str, Table]]:
    """One for each device, but one for those that hold the same, each with its title."""
    alike: dict[tuple[object, ...], list[MemoryPlan]] = {}
    for plan in plans:
        alike.setdefault((plan.parts, plan.capacity_bytes), []).append(plan)
    for group in alike.values():
        others = f" and {len(group) - 1} more like it" if len(group) > 1 else ""
        yield f"{group[0].device}{others}", _chart(group[0])


def _chart(plan: MemoryPlan) -> Table:
    """Each part with its bar, which begins where the one above ends, so that the last ends where the memory is full."""
    table = Table("", "GiB", "", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    scale = _BAR_CELLS / max(plan.capacity_bytes, plan.needed_bytes, 1)
    begin = 0
    for part in plan.parts:
        table.add_row(Text(part.name), _gib(part.bytes), _bar(begin, part.bytes, scale, "█", "cyan"))
        begin += part.bytes
    if plan.left_bytes >= 0:
        table.add_row(Text("left", "green"), _gib(plan.left_bytes), _bar(begin, plan.left_bytes, scale, "░", "green"))
    else:
        over = _bar(plan.capacity_bytes, -plan.left_bytes, scale, "▒", "red")
        table.add_row(Text("missing", "red"), _gib(-plan.left_bytes), over)
    table.add_row(Text("in all"), _gib(plan.capacity_bytes), Text(""))
    return table


def _bar(begin: int, size: int, scale: float, cell: str, style: str) -> Text:
    first, last = round(begin * scale), round((begin + size) * scale)
    return Text(" " * first) + Text(cell * (last - first) or "▏", style)


def _gib(size: int) -> Text:
    return Text(f"{size / 2**30:.2f}")
