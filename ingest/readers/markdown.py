"""Markdown: blocks as the source has them, found by markdown-it; front matter kept, headings without their marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.elements import Kind, Page, Summary
from ingest.readers.assembly import PageAssembly
from ingest.readers.decoding import read_text
from ingest.task import Task

if TYPE_CHECKING:
    from markdown_it.token import Token

FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
FRONT_TITLE = re.compile(r"^title:\s*[\"']?(.+?)[\"']?\s*$", re.MULTILINE)
KINDS: dict[str, Kind] = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "fence": "code",
    "code_block": "code",
    "html_block": "paragraph",
    "table_open": "table",
}
# Containers: what is in them comes as blocks of its own. A list's item is one element up to its first inner list.
ITEM_OPEN = "list_item_open"


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    source = read_text(path, task.limits)
    assembly = PageAssembly()
    title = _front_matter(source, assembly)
    body_title = add_blocks(source[_front_length(source) :], assembly)
    yield assembly.page()
    yield Summary(title=title or body_title, pages_total=1)


def add_blocks(source: str, assembly: PageAssembly) -> str | None:
    """Put every block of `source` into `assembly`; the text of the first heading of level 1 comes back.

    Lines that belong to no token (definitions of links, say) are kept as paragraphs: nothing is dropped.
    """
    from markdown_it import MarkdownIt

    lines = source.split("\n")
    title: str | None = None
    done = 0
    for token in _leaves(MarkdownIt("commonmark").enable("table").parse(source)):
        first, last = token.map or (done, done)
        first = max(first, done)
        if last <= first:
            continue
        assembly.add("paragraph", _joined(lines[done:first]))
        kind: Kind = KINDS.get(token.type, "list_item")
        text = _joined(lines[first:last])
        if kind == "heading":
            text = _heading(text)
            title = title or (text if token.tag == "h1" else None)
        assembly.add(kind, text, level=int(token.tag[1]) if kind == "heading" else 0, header_length=_header(kind, text))
        done = last
    assembly.add("paragraph", _joined(lines[done:]))
    return title


def _leaves(tokens: Sequence[Token]) -> Iterator[Token]:
    """Blocks in the order of the source, each with its range of lines. Paragraphs in a list are its items: the item's
    first line holds the bullet, so that the bullet stays in the text."""
    inside_list = 0
    for token in tokens:
        if token.type == ITEM_OPEN:
            inside_list += 1
        elif token.type == "list_item_close":
            inside_list -= 1
        elif token.type == "paragraph_open" and inside_list:
            token.type = ITEM_OPEN
            yield token
        elif token.type in KINDS:
            yield token


def _front_matter(source: str, assembly: PageAssembly) -> str | None:
    match = FRONT_MATTER.match(source)
    if match is None:
        return None
    assembly.add("code", match.group(1).rstrip("\n"))
    named = FRONT_TITLE.search(match.group(1))
    return named.group(1) if named else None


def _front_length(source: str) -> int:
    match = FRONT_MATTER.match(source)
    return match.end() if match else 0


def _heading(text: str) -> str:
    """Without the marks of either style: `## Title ##`, or a title underlined by `---`."""
    lines = text.split("\n")
    if len(lines) > 1 and re.fullmatch(r"\s*(=+|-+)\s*", lines[-1]):
        return _joined(lines[:-1]).strip()
    return re.sub(r"^\s*[>\s]*#{1,6}[ \t]*|[ \t]+#+[ \t]*$", "", text).strip()


def _header(kind: Kind, text: str) -> int:
    """A table's first two lines: the names of the columns and the rule below them."""
    return len("\n".join(text.split("\n")[:2])) if kind == "table" else 0


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines).strip("\n")
