"""Files inside of a file (members of an archive, attachments of a message): each is read by the reader of its format.

The `part` of a page is the path to it, with "/" between all its steps: "reports.zip/2024/sales.xlsx/January" is the
sheet January of a workbook in an archive in the archive (or the message) that lies in the folder.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import Encrypted, IngestError, LimitReached, Unreadable
from ingest.formats import detect
from ingest.plain_file import passing_cause
from ingest.readers.assembly import clean
from ingest.readers.containers import HARMLESS_BYTES
from ingest.readers.registry import reader_named
from ingest.task import Task

CONTAINERS = {"archive", "eml", "mbox", "msg", "tnef", "signed"}
# What systems leave in archives: nothing of it is the user's. Other hidden names may be, and are counted.
JUNK = re.compile(r"(^|/)(__macosx(/|$)|(\.ds_store|\._[^/]*|thumbs\.db|desktop\.ini)$)", re.IGNORECASE)
LONGEST_NAME = 300
MOST_OMISSIONS = 100
# Of an archive in which nothing could be read: the first reasons are enough.
NAMED, LONGEST_REASON = 5, 200


class Members:
    """Reads what is inside of one container, and keeps what could not be read. `full` says why
    reading must end, and is empty while it need not."""

    def __init__(self, container: Path, task: Task) -> None:
        self._container, self._task = container, task
        self._packed = max(1, container.stat().st_size)
        self._bytes = 0
        self._hidden = 0
        self._omissions: list[Omission] = []
        self._more_omissions = 0
        self._causes: set[type[IngestError]] = set()
        self.pages_total = 0
        self.full = ""

    def pages(self, name: str, content: Iterable[bytes]) -> Iterator[Page]:
        """The pages of one member. `content` comes piece by piece and is measured as it comes; whatever is wrong with
        the member becomes an omission, and the next one may follow unless this one made it `full`."""
        name = shown_name(name)
        folder = Path(tempfile.mkdtemp(prefix="member-"))
        try:
            self._count_entry()
            file = self._write(folder / _file_name(name), content)
            if _is_hidden(name):
                self._hidden += JUNK.search(name) is None
            else:
                yield from self._read(name, file)
        except MemoryError:
            raise
        except Exception as exc:  # the edge of a member: one that its reader trips over must not cost the others
            if passing_cause(exc):
                raise  # the disk's fault, and so not the member's
            damage = Unreadable(f"it looks damaged: its reader failed ({type(exc).__name__}: {str(exc)[:200]})")
            self.omit(name, exc if isinstance(exc, IngestError) else damage)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def omit(self, name: str, cause: IngestError) -> None:
        """Readers name the file in what they say; a reason need not repeat the name that it stands behind."""
        self._causes.add(type(cause))
        said = str(cause).removeprefix(_file_name(name) + " ")
        self.note(Omission(name, said if said == str(cause) else f"it {said}"))

    def note(self, omission: Omission) -> None:
        """The first ones by name, the others by number: a reason is for people."""
        if len(self._omissions) < MOST_OMISSIONS:
            self._omissions.append(omission)
        else:
            self._more_omissions += 1

    def omissions(self) -> tuple[Omission, ...]:
        found = list(self._omissions)
        if self._more_omissions:
            found.append(Omission(f"{self._more_omissions:,} more entries", "they were not read, or not wholly"))
        if self._hidden:
            what = f"{self._hidden:,} hidden {'entry' if self._hidden == 1 else 'entries'}"
            found.append(Omission(what, "names that begin with a dot are not read"))
        return tuple(found)

    def failure(self) -> IngestError:
        """Why there is not one page: of the kind that all members share, if they do."""
        omissions = self.omissions()
        kind = self._causes.pop() if len(self._causes) == 1 else Unreadable
        if self.full:
            return LimitReached(f"Nothing in {self._container.name} could be read: {self.full}.")
        if not omissions:
            return Unreadable(f"{self._container.name} holds no file with text.")
        said = "; ".join(f"{omission.what}: {omission.reason[:LONGEST_REASON]}" for omission in omissions[:NAMED])
        more = f"; and {len(omissions) - NAMED:,} more" if len(omissions) > NAMED else ""
        return kind(f"Nothing in {self._container.name} could be read. {said}{more}")

    def _read(self, name: str, file: Path) -> Iterator[Page]:
        inner = self._task.inside()
        if inner.depth > inner.limits.nesting:
            raise LimitReached(f"it lies deeper than {inner.limits.nesting} files inside of each other")
        format = detect(file)
        mark = "/" if format.name in CONTAINERS else ": "
        count, noted = 0, 0
        for item in reader_named(format.reader).read(file, inner):
            if isinstance(item, Summary):
                self.pages_total += item.pages_total
                noted = len(item.omissions)
                for omission in item.omissions:
                    self.note(Omission(f"{name}{mark}{omission.what}", omission.reason))
            else:
                count += bool(item.text.strip())
                yield replace(item, part=f"{name}/{item.part}" if item.part else name)
        if not count and not noted:
            raise Unreadable("there is no text in it")

    def _write(self, file: Path, content: Iterable[bytes]) -> Path:
        """Into a name of our own making, in a folder of its own. A member that is too large for itself is drained all
        the same, since what follows it in the archive can only be reached through it."""
        limits = self._task.limits
        most = min(limits.file_bytes, limits.written_bytes)
        length = 0
        with file.open("xb") as opened:
            for piece in content:
                length += len(piece)
                self._count_bytes(len(piece))
                if length <= most:
                    opened.write(piece)
        if length > most:
            raise LimitReached(f"it is larger than {most:,} bytes, the limit for one file in another")
        return file

    def _count_entry(self) -> None:
        self._task.unpacked.entries += 1
        if self._task.unpacked.entries > self._task.limits.entries:
            self._stop(f"there are more than {self._task.limits.entries:,} entries, the limit")

    def _count_bytes(self, count: int) -> None:
        limits = self._task.limits
        self._bytes += count
        self._task.unpacked.bytes += count
        if self._task.unpacked.bytes > limits.unpacked_bytes:
            self._stop(f"all that was unpacked is larger than {limits.unpacked_bytes:,} bytes, the limit")
        if self._bytes > HARMLESS_BYTES and self._bytes > limits.unpacked_ratio * self._packed:
            self._stop(f"it unpacks to more than {limits.unpacked_ratio:,} times its size: it looks like a bomb")

    def _stop(self, reason: str) -> None:
        self.full = f"{reason}; nothing after it was read"
        raise LimitReached(self.full)


def shown_name(name: str) -> str:
    """A path for people: never one to open. What would lead out of the archive is left out."""
    steps = (step.strip() for step in clean(name).replace("\\", "/").replace("\n", " ").split("/"))
    return "/".join(step for step in steps if step not in ("", ".", ".."))[-LONGEST_NAME:] or "without a name"


def _file_name(name: str) -> str:
    """For the scratch file: readers name it in their messages, and its ending may tell the kind of text."""
    return re.sub(r"[^\w. ()+-]", "_", name.rpartition("/")[2])[-60:].lstrip(". ") or "member"


def _is_hidden(name: str) -> bool:
    return JUNK.search(name) is not None or any(step.startswith(".") for step in name.split("/"))


def encrypted(what: str = "it") -> Encrypted:
    return Encrypted(f"{what} is protected with a password. Unpack it, or save it without one, to have it read")
