"""What of a PDF page is a picture of text: whole pages without usable text, and large pictures beside text.

`regions` looks at a loaded page and costs microseconds; `recognise` draws and reads what it found, and costs seconds.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingest.limits import Limits
from ingest.readers.assembly import PageAssembly
from ingest.readers.ocr import TOO_SLOW, Block, Box, Recognised, Recognition, add_recognised, scaled
from ingest.readers.page_ranges import Omitted
from ingest.readers.pdf_lines import PdfLine
from ingest.readers.pdf_pictures import LargePictures

if TYPE_CHECKING:
    from PIL.Image import Image

NO_TEXT = "it holds no text, and none was recognised on it"
DOTS_PER_POINT = 200 / 72
# A page with fewer characters than this may be a scan with a stamp on it, if a picture fills it.
FEW_CHARACTERS = 150
FILLED = 0.5
# A picture beside text is looked at when it takes this share of its page.
LARGE = 0.25
MOST_OBJECTS = 5_000
# Of 255 levels of grey.
WHITE = 247
# In points: no letters that can be read are as low or as narrow as that.
THICKEST_RULE, BLANK_SCALE = 4.0, 0.5


@dataclass(frozen=True)
class Regions:
    """Boxes in points on the page as shown. `whole`: the page itself, instead of pictures on it."""

    boxes: tuple[Box, ...] = ()
    whole: bool = False


NO_REGIONS = Regions()


@dataclass(frozen=True)
class Reading:
    """What was recognised in one region, and where that lies on the page."""

    found: Recognised
    box: Box
    scale: float
    whole: bool


def regions(
    page: Any,
    size: tuple[float, float],
    to_shown: Callable[..., Box],
    lines: Sequence[PdfLine],
    large_pictures: LargePictures,
) -> Regions:
    """`page` is loaded, `lines` its usable text, `to_shown` turns (left, bottom, right, top) into a box as shown."""
    width, height = size
    if not lines:
        return Regions(((0.0, 0.0, width, height),), whole=True) if _objects(page) else NO_REGIONS
    if not large_pictures.some_are_unmet:
        return NO_REGIONS
    pictures = list(_pictures(page, to_shown, large_pictures))
    area = width * height
    if sum(len(line.text) for line in lines) < FEW_CHARACTERS and any(_area(box) > FILLED * area for box in pictures):
        return Regions(((0.0, 0.0, width, height),), whole=True)
    return Regions(tuple(box for box in pictures if _area(box) >= LARGE * area and not _written_on(box, lines)))


def recognise(
    document: Any, number: int, wanted: Regions, recognition: Recognition, lines: Sequence[PdfLine], omitted: Omitted
) -> list[Reading]:
    """Draw and read. What cannot be read is in `omitted` (a whole page) or among the omissions of `recognition`."""
    if not wanted.boxes:
        return []
    recognition.begin_page()
    page = document[number - 1]
    readings: list[Reading] = []
    with closing(page):
        if wanted.whole and _is_blank(page):
            return readings
        for box in wanted.boxes:
            scale = _scale(box, recognition.limits)
            if wanted.whole:
                # mypy cannot infer a lambda with defaults, which hold the loop's values.
                found = recognition.page(lambda box=box, scale=scale: _drawn(page, box, scale))  # type: ignore[misc]
                if isinstance(found, str):
                    omitted.add(number, found)
                    continue
                if not found.complete:
                    omitted.add(number, TOO_SLOW.format(seconds=recognition.limits.ocr_page_s))
                elif not found.blocks and not lines:
                    omitted.add(number, NO_TEXT)
            elif recognition.refused:
                recognition.leave_out(recognition.refused)
                continue
            else:
                found = recognition.picture(_drawn(page, box, scale)) or Recognised()
            readings.append(Reading(_without(found, box, scale, lines), box, scale, wanted.whole))
    return [reading for reading in readings if reading.found.blocks]


def add_readings(assembly: PageAssembly, readings: Sequence[Reading]) -> None:
    for reading in readings:
        place = scaled(1 / reading.scale, reading.box[0], reading.box[1])
        add_recognised(assembly, reading.found, place, None if reading.whole else "picture")


def _pictures(page: Any, to_shown: Callable[..., Box], large_pictures: LargePictures) -> Iterator[Box]:
    import pypdfium2.raw as pdfium

    # Some pages are drawn of thousands of objects, so this loop is as short as it can be.
    get_object, get_type, image = pdfium.FPDFPage_GetObject, pdfium.FPDFPageObj_GetType, pdfium.FPDF_PAGEOBJ_IMAGE
    raw = page.raw
    edges = [ctypes.c_float() for _ in range(4)]
    width, height = ctypes.c_uint(), ctypes.c_uint()
    for index in range(min(_objects(page), MOST_OBJECTS)):
        item = get_object(raw, index)
        if get_type(item) != image:
            continue
        if pdfium.FPDFImageObj_GetImagePixelSize(item, width, height):
            large_pictures.meet(width.value, height.value)
        if pdfium.FPDFPageObj_GetBounds(item, *edges):
            yield to_shown(*(edge.value for edge in edges))


def _objects(page: Any) -> int:
    import pypdfium2.raw as pdfium

    return max(0, int(pdfium.FPDFPage_CountObjects(page)))


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _written_on(picture: Box, lines: Sequence[PdfLine]) -> bool:
    """Whether the page's own text lies over the picture: a background, or a scan that was recognised before."""
    return any(_inside((line.left + line.right) / 2, line.middle, picture) for line in lines)


def _inside(x: float, y: float, box: Box) -> bool:
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _scale(box: Box, limits: Limits) -> float:
    """Pixels for a point, so that the picture keeps within the limit."""
    return min(DOTS_PER_POINT, math.sqrt(limits.pixels / max(_area(box), 1.0)))


def _is_blank(page: Any) -> bool:
    """Nothing but a rule or less can be seen, as on the page left blank behind a chapter."""
    picture = page.render(scale=BLANK_SCALE, grayscale=True).to_pil().convert("L")
    seen = picture.point(lambda level: 0 if level > WHITE else 255).getbbox()
    return seen is None or min(seen[2] - seen[0], seen[3] - seen[1]) <= THICKEST_RULE * BLANK_SCALE


def _drawn(page: Any, box: Box, scale: float) -> Image:
    width, height = page.get_size()
    cut = (box[0], height - box[3], width - box[2], box[1])
    picture: Image = page.render(scale=scale, crop=tuple(max(0.0, edge) for edge in cut), rev_byteorder=True).to_pil()
    return picture.convert("RGB")


def _without(found: Recognised, region: Box, scale: float, lines: Sequence[PdfLine]) -> Recognised:
    """Without what the page's own text says already."""

    def new(box: Box) -> bool:
        x, y = region[0] + (box[0] + box[2]) / 2 / scale, region[1] + (box[1] + box[3]) / 2 / scale
        return not any(_inside(x, y, (line.left, line.top, line.right, line.bottom)) for line in lines)

    blocks = []
    for block in found.blocks:
        rows = (tuple(line for line in row if new(line.box)) for row in block.rows)
        kept = tuple(row for row in rows if row)
        if kept:
            blocks.append(Block(kept, block.kind, block.level))
    return Recognised(tuple(blocks), found.complete)
