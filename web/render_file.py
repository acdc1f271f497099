"""What was read of one file, as an HTML fragment: why it can or cannot be found, then its elements, page by page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import groupby

from indexes.contents import StoredElement
from rag.lookup import FileReport
from web.render import counted
from web.render_documents import STATE_WORDS

CHARACTERS_SHOWN = 60_000
ROWS_SHOWN = 200
CELL_BREAK = " | "
# What is to be typed stands between backticks.
COMMAND = re.compile(r"`([^`]+)`")


def render_file(report: FileReport) -> str:
    path = escape(report.path)
    return (
        f'<header class="lx-source-head"><h2 class="lx-source-page">{path}</h2>'
        f'<p class="lx-source-heading">{escape(_facts(report))}</p></header>'
        f'<ul class="lx-why" data-findable="{_findable(report)}">{_why(report)}</ul>{_elements(report)}'
    )


def _findable(report: FileReport) -> str:
    whole = report.state == "indexed" and report.chunks_embedded == report.chunks
    return "no" if not report.findable else "yes" if whole else "partly"


def _facts(report: FileReport) -> str:
    facts = [STATE_WORDS.get(report.state, report.state)]
    if report.pages_total:
        facts.append(f"{report.pages_indexed:,} of {counted(report.pages_total, 'page')}")
    if report.chunks:
        facts.append(counted(report.chunks, "passage"))
    if report.characters:
        facts.append(f"{report.characters:,} characters")
    if report.version is not None:
        facts.append(f"version {report.version}")
    return " · ".join(facts)


def _why(report: FileReport) -> str:
    return "".join(f"<li>{COMMAND.sub(_code, escape(sentence))}</li>" for sentence in report.why)


def _code(command: re.Match[str]) -> str:
    return f"<code>{command[1]}</code>"


def _elements(report: FileReport) -> str:
    if not report.elements:
        return ""
    shown = _first(report.elements)
    pages = groupby(shown, key=lambda element: (element.part, element.page, element.confidence))
    sections = "".join(_page(*place, list(elements)) for place, elements in pages)
    note = ""
    if len(shown) < len(report.elements):
        note = (
            f'<p class="lx-hint">The first {len(shown):,} of {len(report.elements):,} pieces are shown. '
            f"<code>python app.py show</code> prints all.</p>"
        )
    return f'<h3 class="lx-read-head">What was read</h3><div class="lx-read">{sections}{note}</div>'


def _first(elements: Sequence[StoredElement]) -> Sequence[StoredElement]:
    characters = 0
    for count, element in enumerate(elements):
        characters += len(element.text)
        if characters > CHARACTERS_SHOWN and count:
            return elements[:count]
    return elements


def _page(part: str | None, page: int | None, confidence: float | None, elements: Sequence[StoredElement]) -> str:
    place = [part or "", f"page {page}" if page is not None else ""]
    if confidence is not None:
        place.append(f"recognised in a picture, confidence {confidence:.0%}")
    said = " · ".join(text for text in place if text)
    head = f'<h4 class="lx-read-page">{escape(said)}</h4>' if said else ""
    return f"<section>{head}{''.join(_element(element) for element in elements)}</section>"


def _element(element: StoredElement) -> str:
    kind = escape(element.kind, quote=True)
    if element.kind == "table":
        return _table(element.text)
    tag = {"title": "h5", "heading": "h5", "code": "pre"}.get(element.kind, "p")
    return f'<{tag} class="lx-read-{kind}">{escape(element.text[:CHARACTERS_SHOWN])}</{tag}>'


def _table(text: str) -> str:
    lines = text.splitlines()
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line.split(CELL_BREAK)) + "</tr>"
        for line in lines[:ROWS_SHOWN]
    )
    hidden = len(lines) - ROWS_SHOWN
    more = f'<p class="lx-hint">and {counted(hidden, "more row")}</p>' if hidden > 0 else ""
    return f'<div class="lx-read-table"><table>{rows}</table></div>{more}'
