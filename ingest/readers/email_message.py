"""E-mail (eml, mht): the header lines that people read, the body, then what is attached, by the readers of its formats.

A message inside of a message is a part of its own: "message 1: its subject".
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from pathlib import Path

from ingest.elements import Page, Summary
from ingest.errors import Encrypted, LimitReached, Unreadable
from ingest.readers.assembly import PageAssembly, clean, unix_lines
from ingest.readers.decoding import decode, read_bytes
from ingest.readers.html import add_html
from ingest.readers.members import Members, shown_name
from ingest.readers.plain import blocks
from ingest.task import Task

HEADERS = ("From", "To", "Cc", "Bcc", "Date", "Subject")
# Nothing in them is for people: what they sign is in the message itself.
SIGNATURES = ("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature")
SEALED = ("application/pkcs7-mime", "application/x-pkcs7-mime")
LONGEST_TITLE = 200


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Raises Unreadable when there is no message in the file, Encrypted when its body is."""
    message = parsed(read_bytes(path, task.limits), path.name)
    members = Members(path, task)
    count = 0
    for page in message_pages(message, None, members, task.limits.nesting - task.depth):
        count += 1
        yield page
    if not count:
        raise Unreadable(f"{path.name} holds no message.")
    yield Summary(subject(message) or None, max(count, members.pages_total + 1), members.omissions())


def parsed(content: bytes, name: str) -> EmailMessage:
    """Raises Encrypted."""
    if b"\x00" in content[:512] or content.startswith((b"\xff\xfe", b"\xfe\xff")):
        # Saved as UTF-16 by an editor; mail itself is never that.
        content = decode(content, name).encode("utf-8")
    message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(content)
    sealed = message.get_content_type() in SEALED and "signed-data" not in str(message.get("Content-Type"))
    if message.get_content_type() == "multipart/encrypted" or sealed:
        raise Encrypted(f"{name} is an encrypted message. Open it in the mail program and save it decrypted.")
    return message


def subject(message: MIMEPart) -> str:
    return _header(message, "Subject")


def message_pages(message: MIMEPart, part: str | None, members: Members, depth: int) -> Iterator[Page]:
    """The message itself, what is attached to it, and the messages in it, down to `depth`."""
    assembly = PageAssembly(None, part)
    add_headers(assembly, [(name, _header(message, name)) for name in HEADERS])
    attached: list[MIMEPart] = []
    inner: list[MIMEPart] = []
    for leaf in _leaves(message):
        if leaf.get_content_type() == "message/rfc822":
            inner.append(leaf)
        elif _is_attached(leaf):
            attached.append(leaf)
        else:
            _add_body(assembly, leaf, members)
    if not assembly.empty:
        yield assembly.page()
    for number, leaf in enumerate(attached, start=1):
        if not members.full:
            yield from members.pages(_joined(part, _name(leaf, number)), [_payload(leaf)])
    for number, leaf in enumerate(inner, start=1):
        yield from _inner_pages(leaf, _joined(part, f"message {number}"), members, depth)


def title_of(message: MIMEPart, name: str) -> str:
    """The name of a message among others."""
    about = " ".join(subject(message).split())
    return f"{name}: {about}"[:LONGEST_TITLE] if about else name


def add_headers(assembly: PageAssembly, headers: list[tuple[str, str]]) -> None:
    assembly.add(
        "paragraph", "\n".join(f"{name}: {' '.join(value.split())}" for name, value in headers if value.strip())
    )


def add_plain(assembly: PageAssembly, text: str) -> None:
    text = clean(unix_lines(text))
    for element in blocks(text):
        assembly.add(element.kind, text[element.start : element.end])


def _inner_pages(leaf: MIMEPart, name: str, members: Members, depth: int) -> Iterator[Page]:
    for content in leaf.iter_parts() if leaf.is_multipart() else ():
        title = title_of(content, name)
        if depth > 0:
            yield from message_pages(content, title, members, depth - 1)
        else:
            members.omit(title, LimitReached("messages are nested too deeply"))


def _joined(part: str | None, name: str) -> str:
    return f"{part}/{name}" if part else name


def _leaves(message: MIMEPart) -> Iterator[MIMEPart]:
    """The parts that count, in order: of several versions of the same text one only, and no signatures."""
    kind = message.get_content_type()
    if kind == "multipart/alternative":
        best = _best_version(message)
        if best is not None:
            yield from _leaves(best)
    elif message.is_multipart() and kind != "message/rfc822":
        for part in message.iter_parts():
            yield from _leaves(part)
    elif kind not in SIGNATURES:
        yield message


def _best_version(message: MIMEPart) -> MIMEPart | None:
    """Senders put the richest version last; but an invitation's calendar entry is no version that people read."""
    versions = list(message.iter_parts())
    readable = [
        version
        for version in versions
        if version.is_multipart() or version.get_content_type() in ("text/html", "text/plain", "text/enriched")
    ]
    return next(iter((readable or versions)[::-1]), None)


def _is_attached(leaf: MIMEPart) -> bool:
    if leaf.get_content_disposition() == "attachment" or leaf.get_content_maintype() != "text":
        return True
    # The pages of a web archive have names, too, but stand in the message as its body does.
    return bool(leaf.get_filename()) and leaf.get_content_disposition() is not None


def _name(leaf: MIMEPart, number: int) -> str:
    try:
        given = leaf.get_filename() or str(leaf.get("Content-Location", "")).partition("?")[0].rpartition("/")[2]
    except (ValueError, IndexError, AttributeError, LookupError):  # as for `_header`
        given = ""
    guessed = mimetypes.guess_extension(leaf.get_content_type()) or ""
    return shown_name(given) if given.strip() else f"attachment {number}{guessed}"


def _add_body(assembly: PageAssembly, leaf: MIMEPart, members: Members) -> None:
    text = _text(leaf)
    if leaf.get_content_subtype() == "html":
        for omission in add_html(text, assembly)[1]:
            members.note(omission)
    else:
        add_plain(assembly, text)


def _payload(leaf: MIMEPart) -> bytes:
    payload = leaf.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(leaf: MIMEPart) -> str:
    content = _payload(leaf)
    # Flowed or fixed, declared or not: the decoder believes a charset only when it fits.
    return decode(content, "the message", leaf.get_content_charset()) if content.strip() else ""


def _header(message: MIMEPart, name: str) -> str:
    try:
        return clean(str(message.get(name, "")))
    except (ValueError, IndexError, AttributeError, LookupError):  # the parser trips over some malformed headers
        return clean(next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), ""))
