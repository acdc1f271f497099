"""Mailboxes (mbox): each message is a part, "message 2: its subject", with what is attached to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import IngestError, LimitReached, Unreadable
from ingest.readers.email_message import message_pages, parsed, title_of
from ingest.readers.members import Members
from ingest.task import Task

# Sender and date; a sentence that begins with "From" should be quoted, but not every program does that.
FIRST_LINE = re.compile(rb"From \S+ .*\d{4}")
QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Message by message: a mailbox may be much larger than the memory."""
    size = path.stat().st_size
    if size > task.limits.file_bytes:
        raise LimitReached(f"{path.name} has {size:,} bytes; {task.limits.file_bytes:,} are allowed.")
    members = Members(path, task)
    count = number = 0
    for number, content in enumerate(_messages(path, task.limits.mail_bytes), start=1):
        if number > task.limits.entries:
            members.note(Omission("the rest of the mailbox", f"only {task.limits.entries:,} messages are read"))
            break
        for page in _message(content, number, members, task):
            count += 1
            yield page
    if not count:
        raise members.failure() if number else Unreadable(f"{path.name} holds no message.")
    yield Summary(title=None, pages_total=max(count, number), omissions=members.omissions())


def _message(content: bytes | None, number: int, members: Members, task: Task) -> Iterator[Page]:
    name = f"message {number}"
    try:
        if content is None:
            raise LimitReached(f"it is larger than {task.limits.mail_bytes:,} bytes, the limit for one message")
        message = parsed(content, name)
    except IngestError as exc:
        members.omit(name, exc)
        return
    yield from message_pages(message, title_of(message, name), members, task.limits.nesting - task.depth)


def _messages(path: Path, most_bytes: int) -> Iterator[bytes | None]:
    """None for one that is too large. A message begins at a line "From …" after an empty line."""
    lines: list[bytes] = []
    length, after_empty, begun = 0, True, False
    with path.open("rb") as file:
        while line := file.readline(most_bytes):
            if after_empty and FIRST_LINE.match(line):
                if begun:
                    yield _joined(lines, length, most_bytes)
                lines, length, begun = [], 0, True
            elif begun:
                length += len(line)
                if length <= most_bytes:
                    lines.append(line)
            after_empty = not line.strip()
    if begun:
        yield _joined(lines, length, most_bytes)


def _joined(lines: list[bytes], length: int, most_bytes: int) -> bytes | None:
    return QUOTED_FROM.sub(rb"\1", b"".join(lines)) if length <= most_bytes else None
