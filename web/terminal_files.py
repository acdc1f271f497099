"""Files as lines at a terminal: columns below each other, names cut to its width, no blanks at the ends of lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_STATE_STYLES = {
    "indexed": "green",
    "partial": "yellow",
    "pending": "dim",
    "skipped": "dim",
    "empty": "dim",
    "waiting": "dim",
    "reading": "cyan",
    "retrying": "yellow",
}
_NAME = 1
_GAP = "  "
_LEAST_NAME, _WIDEST_PADDING = 24, 60


def paths_told_twice(paths: Iterable[str]) -> set[str]:
    """Those that several folders have, so that a person needs the folder, too."""
    return {path for path, count in Counter(paths).items() if count > 1}


def print_files(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
    """A line for each row: its state, its name, and more. At a terminal names are cut in the middle to leave room for
    what stands beside them; elsewhere nothing is cut."""
    from rich.cells import cell_len
    from rich.text import Text

    if not rows:
        return
    cells = [[cell or "" for cell in row] for row in rows]
    widths = [max(cell_len(line[column]) for line in (titles, *cells)) for column in range(len(titles) - 1)]
    if console.is_terminal:
        others = sum(widths) - widths[_NAME] + len(_GAP) * len(widths)
        widths[_NAME] = min(widths[_NAME], max(_LEAST_NAME, (console.width - others) * 2 // 3))
        cells = [
            [cell if column != _NAME else shortened(cell, widths[_NAME]) for column, cell in enumerate(row)]
            for row in cells
        ]
    widths[_NAME] = min(widths[_NAME], max(_WIDEST_PADDING, console.width if console.is_terminal else 0))
    console.print(Text(_line(titles, widths), "bold"), soft_wrap=True)
    for row in cells:
        line = Text(_line(row, widths))
        line.stylize(_STATE_STYLES.get(row[0], "red"), 0, len(row[0]))
        console.print(line, soft_wrap=True)


def shortened(name: str, width: int) -> str:
    """At most `width` cells of it, its beginning and its end, with "…" for what stood between."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(name) <= width:
        return name
    end = name[::-1]
    tail = set_cell_size(end, width // 2).rstrip()[::-1]
    return f"{set_cell_size(name, width - cell_len(tail) - 1).rstrip()}…{tail}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    from rich.cells import cell_len

    *first, last = cells
    padded = [cell + " " * (width - cell_len(cell)) for cell, width in zip(first, widths, strict=True)]
    return _GAP.join([*padded, last]).rstrip()
