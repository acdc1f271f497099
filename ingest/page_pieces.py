"""Pages that are too long for one message are cut into several, between two elements where that can be.

A reader of a format without pages gives its whole text as one page. The process that takes it in would need many times
its size to check it, so no message may be larger than `Limits.message_bytes`; the numbers here keep below that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ingest.elements import Element, Line, Page, Summary

MOST_CHARACTERS = 2_000_000
MOST_SLICES = 50_000
"""Elements, and lines, of one page."""


def in_pieces(items: Iterator[Page | Summary]) -> Iterator[Page | Summary]:
    """Pages that fit into a message; the summary then counts them."""
    more = 0
    for item in items:
        if isinstance(item, Summary):
            yield replace(item, pages_total=item.pages_total + more)
            continue
        for count, piece in enumerate(pieces(item)):
            more += count > 0
            yield piece


def pieces(page: Page) -> Iterator[Page]:
    """The page itself where it fits; else pages of the same part without a number, whose texts in a row are its text.
    An element that is cut goes on as another one; a table that is cut has its header in the first piece only."""
    if len(page.text) <= MOST_CHARACTERS and max(len(page.elements), len(page.lines)) <= MOST_SLICES:
        yield page
        return
    start = first_element = first_line = 0
    while start < len(page.text):
        first_element = _first_behind(page.elements, first_element, start)
        first_line = _first_behind(page.lines, first_line, start)
        end = _end(page, start, first_element, first_line)
        elements = page.elements[first_element : bisect_right(page.elements, end - 1, key=_start)]
        lines = page.lines[first_line : bisect_right(page.lines, end - 1, key=_start)]
        yield replace(
            page,
            number=None,
            text=page.text[start:end],
            elements=tuple(_cut_element(element, start, end) for element in elements),
            lines=tuple(
                replace(line, start=max(0, line.start - start), end=min(line.end, end) - start) for line in lines
            ),
        )
        start = end


def _end(page: Page, start: int, first_element: int, first_line: int) -> int:
    """Where a piece that begins at `start` ends: before an element, else behind a line, else anywhere."""
    end = start + MOST_CHARACTERS
    for slices, first in ((page.elements, first_element), (page.lines, first_line)):
        if first + MOST_SLICES < len(slices):
            end = min(end, slices[first + MOST_SLICES].start)
    end = max(end, start + 1)
    if end >= len(page.text):
        return len(page.text)
    last = bisect_right(page.elements, end, key=_start) - 1
    if last >= 0 and page.elements[last].start > start:
        return page.elements[last].start
    return page.text.rfind("\n", start, end) + 1 or end


def _start(one: Element | Line) -> int:
    return one.start


def _first_behind(slices: Sequence[Element | Line], first: int, start: int) -> int:
    while first < len(slices) and slices[first].end <= start:
        first += 1
    return first


def _cut_element(element: Element, start: int, end: int) -> Element:
    whole_header = element.start >= start and element.header_end <= end
    return replace(
        element,
        start=max(0, element.start - start),
        end=min(element.end, end) - start,
        header_end=element.header_end - start if element.header_end and whole_header else 0,
    )
