"""Sections of OneNote (.one): the runs of text in the file, in the order in which it stores them.

No well-kept library reads the format, whose order and structure lie in chains of revisions. So text is recovered, not
parsed, and the summary says so: what is found is what was written, but versions and parts of a page may be mixed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.task import Task

MAGIC = bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3")
FEWEST = 4
# Texts as UTF-16 of Latin letters, as single bytes, and as UTF-16 of other scripts: chance makes more of the
# later ones, so that they must be longer, and lie where none of the earlier was found.
LATIN = re.compile(rb"(?:[\x20-\x7e\t\r\n\xa0-\xff]\x00|[\x10-\x3a]\x20){4,}")
BYTES = re.compile(rb"[\x20-\x7e\t\r\n]{12,}")
OTHER = re.compile(rb"(?:[\x20-\x7e]\x00|[\x00-\xff][\x03-\x06\x0e\x30\x4e-\x9f\xac-\xd6]){8,}")
# What the program stores for itself: identities, names of fonts and of files of pictures, addresses of accounts.
OWN_WORDS = re.compile(
    r"^(\{?[0-9a-f]{8}-[0-9a-f-]{20,}\}?|[\w .-]+\.(jpg|png|gif|emf|one)|<resolutionId.*|PageTitle|PageDateTime|"
    r"Calibri.*|Arial.*|Times New Roman.*|Segoe UI.*|Courier New.*|Verdana|Tahoma|Cambria.*|x-none|[a-z]{2}-[A-Z]{2})$",
    re.IGNORECASE,
)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """One page. Raises Unreadable."""
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise Unreadable(f"{path.name} is no section of OneNote, or is damaged: its first bytes are not those of one.")
    assembly = PageAssembly()
    length = 0
    for text in dict.fromkeys(_texts(content)):
        length += len(text)
        if length > task.limits.characters:
            break
        assembly.add("paragraph", text)
    if assembly.empty:
        raise Unreadable(f"{path.name} holds no text that can be recovered. Export it from OneNote as .docx or .pdf.")
    yield assembly.page()
    yield Summary(None, 1, (Omission("order and structure", "text is recovered from the file without its layout; "
                                     "export it from OneNote as .docx or .pdf for all of it"),))  # fmt: skip


def _texts(content: bytes) -> Iterator[str]:
    found: list[tuple[int, str]] = []
    for pattern, encoding in ((LATIN, "utf-16-le"), (BYTES, "ascii"), (OTHER, "utf-16-le")):
        for match in pattern.finditer(content):
            found.append((match.start(), match.group().decode(encoding, "replace")))
        # Zeros of the same length, so that places stay what they are and no later pattern finds the same bytes.
        content = pattern.sub(lambda match: bytes(len(match.group())), content)
    for _, text in sorted(found):
        text = text.strip()
        if len(text) >= FEWEST and not OWN_WORDS.match(text) and _is_language(text):
            yield text


def _is_language(text: str) -> bool:
    """Most characters are letters, digits or spaces, and not from many scripts at once, as chance has it."""
    plain = sum(character.isalnum() or character.isspace() for character in text)
    planes = {ord(character) >> 8 for character in text if character.isalpha() and not 0x30FF < ord(character) < 0xA000}
    return plain >= 0.7 * len(text) and len(planes) <= 2 and any(map(str.isalpha, text))
