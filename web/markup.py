"""Text of documents and of models to HTML that cannot do harm.

Documents are quoted letter for letter: escaped, never read as markup. What a model writes is read as a small part of
Markdown, without links, images or raw HTML (a poisoned document makes a model emit `<img src=attacker…>`), and then
sanitised all the same. Only after that are `[1]` markers turned into citation buttons, so no text can forge one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from rag.events import Citation

TAGS = {"p", "br", "strong", "em", "code", "pre", "ul", "ol", "li", "h4", "table", "thead", "tbody", "tr", "th", "td"}
RULES = ["paragraph", "list", "emphasis", "backticks", "fence", "code", "heading", "table", "newline", "escape"]
MARKER = re.compile(r"\s*\[(\d{1,3})\]")
# Of a quote only the marker behind its closing mark is ours; a document's own [2] stays as it is.
QUOTE_MARKER = re.compile(r"(?<=”)\s*\[(\d{1,3})\](?=</p>)")
CODE = re.compile(r"(<pre>.*?</pre>|<code>.*?</code>)", re.DOTALL)


def quoted(text: str, citations: Sequence[Citation]) -> str:
    """Paragraphs of a document's own words; line breaks within a paragraph stay where they are."""
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", text))
    html = "".join(f"<p>{escape(part)}</p>" for part in paragraphs if part)
    return _with_buttons(html, citations, QUOTE_MARKER)


def written(text: str, citations: Sequence[Citation]) -> str:
    """A model's Markdown: paragraphs, lists, emphasis, code, tables; headings all of one modest size."""
    return _with_buttons(_sanitised(_markdown(text)), citations, MARKER)


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    reader = MarkdownIt("zero", {"html": False, "breaks": True}).enable(RULES)
    tokens = reader.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = "h4"
    return str(reader.renderer.render(tokens, reader.options, {}))


def _sanitised(html: str) -> str:
    import nh3

    return str(nh3.clean(html, tags=TAGS, attributes={}, link_rel=None))


def _with_buttons(html: str, citations: Sequence[Citation], marker: re.Pattern[str]) -> str:
    """`html`, whose tags carry no attributes, with the markers outside code as buttons."""
    by_number = {citation.n: citation for citation in citations}

    def button(match: re.Match[str]) -> str:
        citation = by_number.get(int(match[1]))
        # Still on its way while the answer streams; a number that no citation has is shown as nothing to click.
        return f'<span class="lx-marker">{match[1]}</span>' if citation is None else citation_button(citation)

    parts = CODE.split(html)
    return "".join(part if CODE.fullmatch(part) else marker.sub(button, part) for part in parts)


def citation_button(citation: Citation) -> str:
    """The numbered button that opens the source panel."""
    check = "" if citation.verified else ", not found letter for letter in the document"
    label = escape(f"Source {citation.n}: {place(citation)}{check}", quote=True)
    doubt = "" if citation.verified else " lx-unverified"
    return (
        f'<button type="button" class="lx-citation{doubt}" data-n="{citation.n}" '
        f'data-citation="{escape(citation.id, quote=True)}" aria-label="{label}" title="{label}">{citation.n}</button>'
    )


def place(citation: Citation) -> str:
    """Where a citation stands, as plain text: "handbook.pdf, page 3"."""
    part = f" › {citation.part}" if citation.part else ""
    page = f", page {citation.page}" if citation.page is not None else ""
    return f"{citation.file}{part}{page}"


def marked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """A page's text, escaped, with each span (start, end in characters, any order, overlaps allowed) highlighted."""
    pieces: list[str] = []
    position = 0
    for start, end in sorted(spans):
        start = max(start, position)
        if start < min(end, len(text)):
            pieces.append(escape(text[position:start]))
            pieces.append(f'<mark class="lx-highlight">{escape(text[start:end])}</mark>')
            position = end
    return "".join(pieces) + escape(text[position:])
