"""HTML by `unstructured`, after the parts that it would drop have been made into parts that it keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.elements import Omission, Page, Summary
from ingest.errors import Unreadable
from ingest.limits import Limits
from ingest.readers.assembly import PageAssembly
from ingest.readers.completeness import overlooked
from ingest.readers.decoding import decode, read_bytes
from ingest.readers.partitioned import OPTIONS, add, prepare_offline

if TYPE_CHECKING:
    from lxml.html import HtmlElement

DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([a-zA-Z0-9_-]+)", re.IGNORECASE)
# What unstructured leaves out though people read it; as plain blocks or phrases it stays.
BLOCKS = ("form", "details", "figure", "summary", "figcaption", "dialog", "fieldset", "main")
PHRASES = ("label", "button", "legend")
NOT_SHOWN = ("script", "style", "noscript", "template", "svg", "head", "del")
NAVIGATION = ("nav",)


def read(path: Path, limits: Limits) -> Iterator[Page | Summary]:
    content = read_bytes(path, limits)
    declared = DECLARED.search(content[:4096])
    encoding = declared.group(1).decode("ascii") if declared else None
    assembly = PageAssembly()
    title, omissions = add_html(decode(content, path.name, encoding), assembly)
    if assembly.empty:
        raise Unreadable(f"{path.name} holds no text.")
    yield assembly.page()
    yield Summary(title=title, pages_total=1, omissions=omissions)


def add_html(source: str, assembly: PageAssembly) -> tuple[str | None, tuple[Omission, ...]]:
    """Put the document's blocks in; its title and what was left out come back."""
    from lxml import etree, html
    from unstructured.partition.html import partition_html

    prepare_offline()
    # The parser refuses text that declares an encoding of its own.
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        root = html.document_fromstring(source.encode("utf-8", errors="replace"), parser=parser)
    except etree.ParserError:
        return None, ()
    title = " ".join((root.findtext(".//title") or "").split()) or None
    omissions = _leave_out_navigation(root)
    _keep_what_people_read(root)
    elements = partition_html(text=html.tostring(root, encoding="unicode"), **OPTIONS)
    for element in elements:
        add(assembly, element)
    for text in overlooked(root.itertext(), (element.text for element in elements)):
        assembly.add("paragraph", " ".join(text.split()))
    first_heading = next((element.text.strip() for element in elements if element.category == "Title"), None)
    return title or first_heading, omissions


def _leave_out_navigation(root: HtmlElement) -> tuple[Omission, ...]:
    left_out = 0
    for element in list(root.iter(*NAVIGATION)):
        left_out += len("".join(element.itertext()).split())
        element.drop_tree()
    return (Omission(f"navigation ({left_out} words)", "menus of a web page are not read"),) if left_out else ()


def _keep_what_people_read(root: HtmlElement) -> None:
    """`main` too becomes a plain block: unstructured would read nothing outside of it."""
    for element in list(root.iter(*NOT_SHOWN)):
        if element.getparent() is not None:
            element.drop_tree()
    for caption in list(root.iter("caption")):
        table = caption.getparent()
        if table is not None and table.tag == "table":
            caption.tag = "p"
            table.addprevious(caption)
    for element in root.iter(*BLOCKS):
        element.tag = "div"
    for element in root.iter(*PHRASES):
        element.tag = "span"
