"""Numbers of pages as a person writes them: "pages 1, 3–5"."""

from __future__ import annotations

from collections.abc import Sequence


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
