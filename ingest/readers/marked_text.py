"""Texts with light marks: reStructuredText, Org, AsciiDoc, LaTeX, wikis. Headings, lists and code are found by them;
the text between them stays letter for letter as it is. Includes are not followed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Page, Summary
from ingest.readers.assembly import PageAssembly, clean
from ingest.readers.decoding import read_text
from ingest.readers.plain import blocks
from ingest.task import Task

LATEX_LEVELS = {"part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5, "title": 0}
LATEX = re.compile(
    r"^[ \t]*\\(part|chapter|section|subsection|subsubsection|paragraph|title)\*?(?:\[[^\]\n]*\])?"
    r"\{([^\n]+?)\}[ \t]*(?:\\label\{[^}\n]*\})?[ \t]*$",
    re.MULTILINE,
)
STARS = re.compile(r"^(\*{1,6}) +(?:(?:TODO|DONE) +)?(\S[^\n]*?)[ \t]*$", re.MULTILINE)
EQUALS = re.compile(r"^(={1,6}|#{1,6}) +(\S[^\n]*?)(?: +=+)?[ \t]*$", re.MULTILINE)
WIKI = re.compile(r"^(={1,6}) *([^=\n]+?) *\1[ \t]*$", re.MULTILINE)
# A title between two lines of marks or above one, as long as itself.
UNDERLINED = re.compile(
    r"^(?:([=\-~^\"'`#*+.:_])\1{2,}[ \t]*\n)?[ \t]*(\S[^\n]*?)[ \t]*\n([=\-~^\"'`#*+.:_])\3{2,}[ \t]*$",
    re.MULTILINE,
)
# Blocks whose text is no prose: between fences, or below a directive and indented.
FENCED = re.compile(
    r"^(?:(-{4,}|\.{4,})\n.*?\n\1$|[ \t]*#\+begin_(?:src|example)\b.*?^[ \t]*#\+end_\w+[^\n]*|"
    r"[ \t]*\\begin\{(verbatim|lstlisting|minted)\*?\}.*?\\end\{\2\*?\}|"
    r"\.\. (?:code-block|code|sourcecode|highlight)::[^\n]*\n(?:[ \t]*\n|[ \t]+[^\n]*(?:\n|\Z))*)",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)
KINDS = {"tex": "latex", "latex": "latex", "ltx": "latex", "sty": "latex", "cls": "latex", "org": "org", "rst": "rst"}
Heading = tuple[int, int, int, int, int]
"""Where the whole mark begins and ends, where the text of the heading does, and its level."""


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    text = clean(read_text(path, task.limits))
    kind = KINDS.get(path.suffix.lower().removeprefix("."), "asciidoc")
    code = [match.span() for match in FENCED.finditer(text)]
    headings = [one for one in _headings(kind, text) if not any(start <= one[0] < end for start, end in code)]
    title = next((text[start:end] for _, _, start, end, level in sorted(headings, key=lambda one: one[4])), None)
    assembly = PageAssembly()
    _fill(assembly, text, headings, code)
    yield assembly.page()
    yield Summary(title, 1)


def _headings(kind: str, text: str) -> list[Heading]:
    if kind == "latex":
        found = LATEX.finditer(text)
        return [(*match.span(), *match.span(2), max(1, LATEX_LEVELS[match.group(1)])) for match in found]
    if kind == "org":
        return [(*match.span(), *match.span(2), len(match.group(1))) for match in STARS.finditer(text)]
    if kind == "rst":
        return _underlined(text)
    pattern = WIKI if WIKI.search(text) else EQUALS
    return [(*match.span(), *match.span(2), len(match.group(1))) for match in pattern.finditer(text)]


def _underlined(text: str) -> list[Heading]:
    """A kind of line has the level at which it first comes, as reStructuredText has it."""
    levels: dict[tuple[bool, str], int] = {}
    headings = []
    for match in UNDERLINED.finditer(text):
        above, title, below = match.group(1), match.group(2), match.group(3)
        length = len(match.group().split("\n")[-1].strip())
        if (above and above != below) or length < len(title) or not re.search(r"\w", title):
            continue
        level = levels.setdefault((above is not None, below), len(levels) + 1)
        headings.append((*match.span(), *match.span(2), min(6, level)))
    return headings


def _fill(assembly: PageAssembly, text: str, headings: list[Heading], code: list[tuple[int, int]]) -> None:
    """Headings without their marks, code where it is marked, plain blocks between them."""
    marked: list[tuple[int, int, Heading | None]] = [(heading[0], heading[1], heading) for heading in headings]
    marked += [(start, end, None) for start, end in code]
    done = 0
    for start, end, heading in sorted(marked, key=lambda one: one[0]):
        if start < done:
            continue
        _add_blocks(assembly, text[done:start])
        if heading is None:
            assembly.add("code", text[start:end].strip("\n").rstrip())
        else:
            assembly.add("heading", text[heading[2] : heading[3]].strip(), level=heading[4])
        done = end
    _add_blocks(assembly, text[done:])


def _add_blocks(assembly: PageAssembly, text: str) -> None:
    for element in blocks(text):
        assembly.add(element.kind, text[element.start : element.end])
