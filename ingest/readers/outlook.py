"""Outlook messages (msg): header lines and body by oxmsg, then what is attached, by the readers of its formats."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.elements import Page, Summary
from ingest.errors import Encrypted, LimitReached, Unsupported
from ingest.readers.assembly import PageAssembly
from ingest.readers.decoding import decode, read_bytes
from ingest.readers.email_message import add_headers, add_plain
from ingest.readers.html import add_html
from ingest.readers.members import Members
from ingest.task import Task

if TYPE_CHECKING:
    from oxmsg import Message
    from oxmsg.attachment import Attachment
    from oxmsg.storage import Storage

# Numbers of properties, as [MS-OXPROPS] has them.
HTML, RTF, DISPLAY_NAME = 0x1013, 0x1009, 0x3001
EMBEDDED = "__substg1.0_3701000D"
PROPERTIES = "__properties_version1.0"


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    from oxmsg import Message

    message = Message.load(io.BytesIO(read_bytes(path, task.limits)))
    members = Members(path, task)
    count = 0
    for page in _pages(message, None, members, task.limits.nesting - task.depth):
        count += 1
        yield page
    if not count:
        raise members.failure()
    yield Summary(message.subject or None, max(count, members.pages_total + 1), members.omissions())


def _pages(message: Message, part: str | None, members: Members, depth: int) -> Iterator[Page]:
    if "encrypted" in message.message_headers.get("Content-Type", ""):
        raise Encrypted("The message is encrypted. Save it decrypted in the mail program to have it read.")
    assembly = PageAssembly(None, part)
    add_headers(assembly, _headers(message))
    has_body = _add_body(message, assembly, members)
    if not assembly.empty:
        yield assembly.page()
    rtf = None if has_body else message.properties.binary_prop_value(RTF)
    if rtf:
        yield from _rtf_pages(rtf, part, members)
    for number, attachment in enumerate(message.attachments, start=1):
        if not members.full:
            name = attachment.file_name or attachment.properties.str_prop_value(DISPLAY_NAME) or f"attachment {number}"
            yield from _attached_pages(attachment, f"{part}/{name}" if part else name, members, depth)


def _headers(message: Message) -> list[tuple[str, str]]:
    recipients = ", ".join(f"{recipient.name} <{recipient.email_address}>" for recipient in message.recipients)
    sent = message.sent_date.isoformat(sep=" ") if message.sent_date else ""
    return [("From", message.sender or ""), ("To", recipients), ("Date", sent), ("Subject", message.subject or "")]


def _add_body(message: Message, assembly: PageAssembly, members: Members) -> bool:
    html = message.properties.binary_prop_value(HTML)
    source = decode(html, "the message", message.properties.body_encoding) if html and html.strip() else None
    if source or (source := message.html_body):
        for omission in add_html(source, assembly)[1]:
            members.note(omission)
    elif message.body:
        add_plain(assembly, message.body)
    return bool(source or message.body)


def _rtf_pages(packed: bytes, part: str | None, members: Members) -> Iterator[Page]:
    """Some messages have their text as compressed RTF only."""
    from compressed_rtf import decompress

    name = f"{part}/body.rtf" if part else "body.rtf"
    yield from members.pages(name, (decompress(piece) for piece in [packed]))


def _attached_pages(attachment: Attachment, name: str, members: Members, depth: int) -> Iterator[Page]:
    if attachment.file_bytes is not None:
        yield from members.pages(name, [attachment.file_bytes])
        return
    embedded = _embedded(attachment)
    if embedded is None:
        members.omit(name, Unsupported("the message has only a link to it, or an object of another program"))
    elif depth <= 0:
        members.omit(name, LimitReached("messages are nested too deeply"))
    else:
        try:
            yield from _pages(embedded, name, members, depth - 1)
        except Encrypted as exc:
            members.omit(name, exc)


def _embedded(attachment: Attachment) -> Message | None:
    """A message that is attached as an object. Its header is eight bytes shorter than that of a file."""
    from oxmsg import Message

    inside: Storage = attachment._storage  # type: ignore[assignment]  # declared as something smaller
    storage = next((inner for inner in inside.storages if inner.name == EMBEDDED), None)
    if storage is None or not any(stream.name == PROPERTIES for stream in storage.streams):
        return None
    streams = tuple(
        replace(stream, bytes_=stream.bytes_[:24] + bytes(8) + stream.bytes_[24:])
        if stream.name == PROPERTIES
        else stream
        for stream in storage.streams
    )
    return Message(replace(storage, streams=streams))
