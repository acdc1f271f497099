"""Numbers of pages as a person writes them: "pages 1, 3–5"; and the pages that were not read, by reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ingest.elements import Omission


class Omitted:
    """Pages that were not read, or not wholly, gathered by reason."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[int]] = {}

    def add(self, number: int, reason: str) -> None:
        self._numbers.setdefault(reason, []).append(number)

    def add_all(self, numbers: Iterable[int], reason: str) -> None:
        for number in numbers:
            self.add(number, reason)

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(self._numbers)

    def omissions(self) -> tuple[Omission, ...]:
        return tuple(Omission(page_ranges(numbers, most=20), reason) for reason, numbers in self._numbers.items())


def page_ranges(numbers: Sequence[int], *, most: int) -> str:
    """`numbers` rising, from 1; at most `most` ranges are written out, the rest is counted."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    written = ", ".join(str(first) if first == last else f"{first}\u2013{last}" for first, last in ranges[:most])
    more = sum(last - first + 1 for first, last in ranges[most:])
    return f"{'page' if len(numbers) == 1 else 'pages'} {written}" + (f" and {more} more" if more else "")
