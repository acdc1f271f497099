"""The source panel's content as an HTML fragment: the page that a citation stands on, with the quote highlighted."""

from __future__ import annotations

from html import escape

from rag.sources import Source
from web.markup import marked, place

PACKED = '<p class="lx-hint">It lies inside of another file, so its text is shown without a picture of the page.</p>'


def render_source(source: Source) -> str:
    """The page's picture with the quote's rectangles where there is one, and the page's text with the quote marked."""
    citation = source.citation
    banner = f'<p class="lx-banner" role="status">{escape(source.banner)}</p>' if source.banner else ""
    above = _without_part(source.heading, citation.part)
    heading = f'<p class="lx-source-heading">{escape(above)}</p>' if above else ""
    doubt = "" if citation.verified else '<p class="lx-banner">This quote was not found letter for letter.</p>'
    return (
        f'<header class="lx-source-head"><h2 class="lx-source-page">{escape(place(citation))}</h2>{heading}</header>'
        f"{banner}{doubt}{_picture(source)}{_text(source)}"
    )


def _without_part(heading: str, part: str | None) -> str:
    """The headings above the quote; the part of the file, with which they begin, is named with the place."""
    named = " ".join((part or "").split())
    return heading.removeprefix(named).removeprefix(" › ") if named and heading.startswith(named) else heading


def render_missing(message: str) -> str:
    return f'<p class="lx-banner" role="alert">{escape(message)}</p>'


def _picture(source: Source) -> str:
    if not source.has_image:
        return PACKED if source.citation.part and source.citation.page is not None else ""
    address = f"ui/page/{escape(source.citation.id, quote=True)}.png"
    boxes = "".join(_box(*rectangle) for rectangle in source.rectangles)
    name = escape(f"Picture of {place(source.citation)}", quote=True)
    return f'<figure class="lx-picture"><img src="{address}" alt="{name}">{boxes}</figure>'


def _box(left: float, top: float, right: float, bottom: float) -> str:
    style = f"left:{left:.4%};top:{top:.4%};width:{right - left:.4%};height:{bottom - top:.4%}"
    return f'<span class="lx-highlight" style="{style}"></span>'


def _text(source: Source) -> str:
    """Open where it is all there is to see; folded under a picture that shows the quote already."""
    text = f'<div class="lx-page-text">{marked(source.page_text, source.spans)}</div>'
    if not source.has_image:
        return text
    is_open = "" if source.rectangles else " open"
    return f'<details class="lx-page-words"{is_open}><summary>Text of this page</summary>{text}</details>'
