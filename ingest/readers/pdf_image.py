"""A picture of one PDF page, for previews."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

from ingest.errors import LimitReached, Unreadable
from ingest.limits import Limits
from ingest.readers.pdf import open_pdf

SMALLEST_PX, LARGEST_PX = 16, 8000


def render_page(path: Path, page_number: int, width_px: int, limits: Limits) -> bytes:
    """The page (from 1) as shown, notes and form values drawn, as a PNG `width_px` wide.

    Raises Unreadable when there is no such page, LimitReached when the picture would be too large.
    """
    import pypdfium2

    if not SMALLEST_PX <= width_px <= LARGEST_PX:
        raise LimitReached(f"A page can be drawn {SMALLEST_PX} to {LARGEST_PX} pixels wide, not {width_px}.")
    with open_pdf(path, limits) as document:
        if not 1 <= page_number <= len(document):
            raise Unreadable(f"{path.name} has {len(document)} pages, so no page {page_number}.")
        # Form values are drawn only with a form environment, which must be there before the page is loaded.
        document.init_forms()
        try:
            page = document[page_number - 1]
            with closing(page):
                width, height = page.get_size()
                if width_px * width_px * height / width > limits.pixels:
                    raise LimitReached(f"Page {page_number} of {path.name} is too tall to be drawn {width_px} px wide.")
                image = page.render(scale=width_px / width, rev_byteorder=True).to_pil()
        except pypdfium2.PdfiumError as exc:
            raise Unreadable(f"Page {page_number} of {path.name} is damaged ({exc}).") from exc
        png = io.BytesIO()
        image.save(png, format="PNG", compress_level=1)
        return png.getvalue()
