"""What a Word file says outside of its plain flow of paragraphs: footnotes, comments, text boxes, content controls."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARTS = re.compile(r"word/(document|footnotes|endnotes|comments)\.xml")
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def paragraphs(path: Path) -> Iterator[str]:
    """The text of every paragraph, wherever it stands, part by part."""
    with zipfile.ZipFile(path) as package:
        for name in sorted(filter(PARTS.fullmatch, package.namelist())):
            yield from _paragraphs(package.read(name))


def _paragraphs(content: bytes) -> Iterator[str]:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, recover=True, huge_tree=True)
    root = etree.fromstring(content, parser)
    for paragraph in root.iter(f"{WORD}p") if root is not None else ():
        yield "".join(_runs(paragraph))


def _runs(paragraph: Any) -> Iterator[str]:
    """Text of this paragraph alone: one in a text box inside it comes by itself."""
    for node in paragraph.iter(f"{WORD}t", f"{WORD}tab", f"{WORD}br"):
        if next(node.iterancestors(f"{WORD}p")) is paragraph:
            yield node.text or "" if node.tag == f"{WORD}t" else " "
