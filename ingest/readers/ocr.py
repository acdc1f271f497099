"""Text recognition in pictures, for every reader: what an engine is, how much of it one file may use, and how what it
found becomes elements of a page."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from ingest.elements import Kind, Line, Omission
from ingest.errors import Unsupported
from ingest.limits import Limits
from ingest.readers.assembly import PageAssembly
from ingest.task import Task

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[float, float, float, float]

OFF = "text recognition is off; set LECTERN_OCR=rapidocr (or tesseract) to have it read"
TOO_SLOW = (
    "recognising its text took longer than {seconds:g} s, the limit for one page; what was read until then is kept"
)


@dataclass(frozen=True)
class RecognisedLine:
    """`box` is left, top, right, bottom in pixels of the picture as it was given; `confidence` lies in 0–1."""

    text: str
    box: Box
    confidence: float


@dataclass(frozen=True)
class Block:
    """Rows from top to bottom; a row has more than one line where a gap parts them, as in a table."""

    rows: tuple[tuple[RecognisedLine, ...], ...]
    kind: Kind = "paragraph"
    level: int = 0


@dataclass(frozen=True)
class Recognised:
    """Blocks in reading order. `complete` is False when the time was up before the last line."""

    blocks: tuple[Block, ...] = ()
    complete: bool = True

    @property
    def lines(self) -> tuple[RecognisedLine, ...]:
        return tuple(line for block in self.blocks for row in block.rows for line in row)

    @property
    def characters(self) -> int:
        return sum(len(line.text) for line in self.lines)


class Engine(Protocol):
    def recognise(self, image: Image, seconds: float) -> Recognised:
        """`image` is RGB and of any size. Stops after about `seconds`."""


class Recognition:
    """The recognition of one file: its engine, opened at the first picture, and what the file has used up.

    Call `begin_page` before each page; its pictures share `Limits.ocr_page_s`.
    """

    def __init__(self, task: Task, *, clock: Callable[[], float] = time.monotonic, engine: Engine | None = None):
        self._task, self._clock, self._engine = task, clock, engine
        self._left_out: Counter[str] = Counter()
        self._seen: set[bytes] = set()
        self._pictures = 0
        self._pages = 0
        self._used_s = 0.0
        self._page_until = 0.0
        self.begin_page()

    @property
    def limits(self) -> Limits:
        return self._task.limits

    def begin_page(self) -> None:
        self._page_until = self._clock() + self._task.limits.ocr_page_s

    def page(self, draw: Callable[[], Image]) -> Recognised | str:
        """What stands on a whole page; `draw` makes its picture. A string says why it was not read."""
        limits = self._task.limits
        refused = self.refused
        if refused:
            return refused
        if self._pages >= limits.ocr_pages:
            return f"the limit of {limits.ocr_pages:,} recognised pages in one file is reached"
        self._pages += 1
        self.begin_page()
        return self._recognise(draw())

    def picture(self, image: Image) -> Recognised | None:
        """What stands in a picture inside of a page; None when it is left out, is small, or came before."""
        limits = self._task.limits
        if image.width * image.height < limits.ocr_smallest_px or min(image.size) < limits.ocr_narrowest_px:
            return None
        print_ = sha256(image.tobytes()).digest()
        if print_ in self._seen:
            return None
        self._seen.add(print_)
        refused = self.refused
        if refused is None and self._pictures >= limits.ocr_pictures:
            refused = f"the limit of {limits.ocr_pictures:,} pictures in one document is reached"
        if refused:
            self._left_out[refused] += 1
            return None
        self._pictures += 1
        found = self._recognise(image)
        if not found.complete:
            self._left_out[TOO_SLOW.format(seconds=limits.ocr_page_s)] += 1
        return found if found.blocks else None

    def leave_out(self, reason: str) -> None:
        """Count a picture that cannot be opened."""
        self._left_out[reason] += 1

    def omissions(self) -> tuple[Omission, ...]:
        """What was not read of pictures inside of pages."""
        return tuple(
            Omission("a picture" if count == 1 else f"{count:,} pictures", reason)
            for reason, count in self._left_out.items()
        )

    @property
    def refused(self) -> str | None:
        """Why nothing more is recognised in this file."""
        options, limits = self._task.ocr, self._task.limits
        if options.engine == "off":
            return OFF
        if self._used_s >= limits.ocr_s:
            return f"the limit of {limits.ocr_s:,.0f} s of text recognition in one file is reached"
        if self._engine is None:
            from ingest.readers.ocr_engines import open_engine

            try:
                self._engine = open_engine(options)
            except Unsupported as exc:
                return str(exc)
        return None

    def _recognise(self, image: Image) -> Recognised:
        assert self._engine is not None
        started = self._clock()
        left_s = min(self._page_until - started, self._task.limits.ocr_s - self._used_s)
        if left_s <= 0:
            return Recognised(complete=False)
        try:
            return self._engine.recognise(image, left_s)
        finally:
            self._used_s += self._clock() - started


def add_recognised(
    assembly: PageAssembly, found: Recognised, place: Callable[[Box], Box], kind: Kind | None = None
) -> None:
    """Put the blocks in, each line with its box; `place` turns pixels into points. `kind` overrides theirs."""
    for block in found.blocks:
        text, places = _laid_out(block.rows, place)
        assembly.add(kind or block.kind, text, level=0 if kind else block.level, lines=places)


def _laid_out(rows: Sequence[Sequence[RecognisedLine]], place: Callable[[Box], Box]) -> tuple[str, list[Line]]:
    pieces: list[str] = []
    places: list[Line] = []
    length = 0
    for row in rows:
        for index, line in enumerate(row):
            if pieces:
                pieces.append(" " if index else "\n")
                length += 1
            pieces.append(line.text)
            places.append(Line(length, length + len(line.text), *place(line.box)))
            length += len(line.text)
    return "".join(pieces), places


def confidence_of(found: Sequence[Recognised]) -> float | None:
    """The mean over all characters; None where there are none."""
    lines = [line for each in found for line in each.lines]
    characters = sum(len(line.text) for line in lines)
    if not characters:
        return None
    mean = sum(len(line.text) * line.confidence for line in lines) / characters
    return round(min(1.0, max(0.0, mean)), 4)


def scaled(scale: float, left: float = 0.0, top: float = 0.0) -> Callable[[Box], Box]:
    """From pixels to points, for a picture whose top left corner stands at `left`, `top` of the page."""

    def place(box: Box) -> Box:
        return (
            round(left + box[0] * scale, 2),
            round(top + box[1] * scale, 2),
            round(left + box[2] * scale, 2),
            round(top + box[3] * scale, 2),
        )

    return place
