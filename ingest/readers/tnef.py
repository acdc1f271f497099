"""Outlook's own wrapping of mail (winmail.dat, TNEF): the body, and what is attached by the readers of its formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.elements import Page, Summary
from ingest.readers.assembly import PageAssembly
from ingest.readers.decoding import decode, read_bytes
from ingest.readers.email_message import add_headers, add_plain
from ingest.readers.html import add_html
from ingest.readers.members import Members
from ingest.task import Task

if TYPE_CHECKING:
    from tnefparse import TNEF

# The headers as numbers of properties, as [MS-OXPROPS] has them; the subject may be an attribute of TNEF itself, too.
HEADERS = {"From": 0x0C1A, "To": 0x0E04, "Cc": 0x0E03, "Date": 0x0039, "Subject": 0x0037}
SUBJECTS = (0x0037, 0x0E1D, 0x0070)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    from tnefparse import TNEF

    message = TNEF(read_bytes(path, task.limits), do_checksum=False)
    members = Members(path, task)
    headers = _headers(message)
    title = headers["Subject"]
    assembly = PageAssembly()
    add_headers(assembly, list(headers.items()))
    count = 0
    yield from _body_pages(message, assembly, members)
    count += not assembly.empty
    for number, attachment in enumerate(message.attachments, start=1):
        if not members.full:
            for page in members.pages(_name(attachment, number), [bytes(attachment.data)]):
                count += 1
                yield page
    if not count:
        raise members.failure()
    yield Summary(title or None, max(count, members.pages_total), members.omissions())


def _body_pages(message: TNEF, assembly: PageAssembly, members: Members) -> Iterator[Page]:
    if message.htmlbody:
        for omission in add_html(_text(message.htmlbody), assembly)[1]:
            members.note(omission)
    elif message.body:
        add_plain(assembly, _text(message.body))
    if not assembly.empty:
        yield assembly.page()
    if not (message.htmlbody or message.body) and message._rtfbody:
        yield from members.pages("body.rtf", (message.rtfbody for _ in range(1)))


def _headers(message: TNEF) -> dict[str, str]:
    wanted = {*HEADERS.values(), *SUBJECTS}
    values = {item.name: _shown(item.data) for item in message.mapiprops if item.name in wanted}
    subject = next((values[number] for number in SUBJECTS if values.get(number)), "")
    attribute = next((str(item.data) for item in message.msgprops if item.name == message.ATTSUBJECT), "")
    return {name: values.get(number, "") for name, number in HEADERS.items()} | {"Subject": subject or attribute}


def _shown(value: object) -> str:
    return _text(value).strip("\0 ") if isinstance(value, str | bytes) else str(value)


def _text(body: str | bytes) -> str:
    return body if isinstance(body, str) else decode(body.rstrip(b"\0") or b" ", "the message")


def _name(attachment: object, number: int) -> str:
    try:
        # The library has no types.
        return str(attachment.long_filename()) or f"attachment {number}"  # type: ignore[attr-defined]
    except (UnicodeDecodeError, AttributeError):
        return f"attachment {number}"
