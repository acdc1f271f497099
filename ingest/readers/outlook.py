"""Outlook messages (msg): header lines and body, read by oxmsg; attachments are named as not read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import Encrypted, Unreadable
from ingest.limits import Limits
from ingest.readers.assembly import PageAssembly
from ingest.readers.decoding import read_bytes
from ingest.readers.email_message import NOT_READ, add_headers, add_plain
from ingest.readers.html import add_html


def read(path: Path, limits: Limits) -> Iterator[Page | Summary]:
    from oxmsg import Message

    message = Message.load(io.BytesIO(read_bytes(path, limits)))
    if "encrypted" in message.message_headers.get("Content-Type", ""):
        raise Encrypted(f"{path.name} is an encrypted message. Save it decrypted to have it read.")
    assembly = PageAssembly()
    recipients = ", ".join(f"{recipient.name} <{recipient.email_address}>" for recipient in message.recipients)
    sent = message.sent_date.isoformat(sep=" ") if message.sent_date else ""
    subject = message.subject or ""
    add_headers(assembly, [("From", message.sender or ""), ("To", recipients), ("Date", sent), ("Subject", subject)])
    omissions: tuple[Omission, ...] = ()
    if message.html_body:
        _, omissions = add_html(message.html_body, assembly)
    elif message.body:
        add_plain(assembly, message.body)
    if assembly.empty:
        raise Unreadable(f"{path.name} holds no text.")
    attached = tuple(
        Omission(f"attachment {item.file_name or 'without a name'}", NOT_READ) for item in message.attachments
    )
    yield assembly.page()
    yield Summary(title=subject or None, pages_total=1, omissions=omissions + attached)
