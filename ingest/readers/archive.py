"""Archives (zip, tar, gz, bz2, xz, zst, 7z, rar, cab, iso): every member by the reader of its own format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import IngestError
from ingest.formats import HEAD_BYTES
from ingest.readers.members import Members
from ingest.readers.unpacking import Entry, entries
from ingest.signatures import kind_of_bytes
from ingest.task import Task


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Raises what all members have in common when none could be read, and what is wrong with the archive."""
    with path.open("rb") as file:
        kind = kind_of_bytes(file.read(HEAD_BYTES)) or "iso"
    members = Members(path, task)
    count = 0
    with closing(entries(path, kind, task.limits)) as found:
        for entry in _until_damaged(found, members):
            if entry.problem is not None:
                members.omit(entry.name, entry.problem)
                continue
            for page in members.pages(entry.name, entry.content):
                count += 1
                yield page
            if members.full:
                break
    if not count:
        raise members.failure()
    yield Summary(title=None, pages_total=max(count, members.pages_total), omissions=members.omissions())


def _until_damaged(found: Iterator[Entry], members: Members) -> Iterator[Entry]:
    """What comes before the damage in an archive is worth keeping; without any entry the damage is the whole story."""
    some = False
    try:
        for entry in found:
            some = True
            yield entry
    except IngestError as exc:
        if not some:
            raise
        members.note(Omission("the rest of the archive", str(exc)))
