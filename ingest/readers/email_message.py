"""E-mail (eml, mhtml): the header lines that people read, the body, and forwarded messages as parts of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import Encrypted, Unreadable
from ingest.limits import Limits
from ingest.readers.assembly import PageAssembly, clean, unix_lines
from ingest.readers.decoding import decode, read_bytes
from ingest.readers.html import add_html
from ingest.readers.plain import blocks

HEADERS = ("From", "To", "Cc", "Bcc", "Date", "Subject")
ENCRYPTED_TYPES = ("multipart/encrypted", "application/pkcs7-mime")
NOT_READ = "attachments are not read; save it into the folder to have it read"


@dataclass
class Gathered:
    """What a message and those inside it came to."""

    pages: list[Page] = field(default_factory=list)
    omissions: list[Omission] = field(default_factory=list)


def read(path: Path, limits: Limits) -> Iterator[Page | Summary]:
    """Raises Unreadable when there is no message in the file, Encrypted when its body is."""
    content = read_bytes(path, limits)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        # Saved as UTF-16 by an editor; mail itself is never that.
        content = decode(content, path.name).encode("utf-8")
    message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(content)
    if message.get_content_type() in ENCRYPTED_TYPES and "signed-data" not in str(message.get("Content-Type")):
        raise Encrypted(f"{path.name} is an encrypted message. Open it in the mail program and save it decrypted.")
    gathered = Gathered()
    _gather(message, None, limits.nesting, gathered)
    if not gathered.pages:
        raise Unreadable(f"{path.name} holds no message.")
    yield from gathered.pages
    yield Summary(_header(message, "Subject") or None, len(gathered.pages), tuple(gathered.omissions))


def add_headers(assembly: PageAssembly, headers: list[tuple[str, str]]) -> None:
    assembly.add(
        "paragraph", "\n".join(f"{name}: {' '.join(value.split())}" for name, value in headers if value.strip())
    )


def add_plain(assembly: PageAssembly, text: str) -> None:
    text = clean(unix_lines(text))
    for element in blocks(text):
        assembly.add(element.kind, text[element.start : element.end])


def _gather(message: MIMEPart, part: str | None, depth: int, gathered: Gathered) -> None:
    assembly = PageAssembly(None, part)
    add_headers(assembly, [(name, _header(message, name)) for name in HEADERS])
    inner: list[MIMEPart] = []
    for leaf in _leaves(message, gathered.omissions):
        if leaf.get_content_type() == "message/rfc822":
            inner.append(leaf)
        else:
            gathered.omissions.extend(_add_body(assembly, leaf))
    if not assembly.empty:
        gathered.pages.append(assembly.page())
    for number, leaf in enumerate(inner, start=1):
        _gather_inner(leaf, f"message {number}", depth, gathered)


def _gather_inner(leaf: MIMEPart, name: str, depth: int, gathered: Gathered) -> None:
    for content in leaf.iter_parts() if leaf.is_multipart() else ():
        subject = _header(content, "Subject")
        title = f"{name}: {subject}" if subject else name
        if depth > 0:
            _gather(content, title[:200], depth - 1, gathered)
        else:
            gathered.omissions.append(Omission(title[:200], "messages are nested too deeply"))


def _leaves(message: MIMEPart, omissions: list[Omission]) -> Iterator[MIMEPart]:
    """The parts to read, in order: of several versions of the same text one only; attachments are noted."""
    if message.get_content_disposition() == "attachment" or message.get_filename():
        omissions.append(Omission(f"attachment {message.get_filename() or message.get_content_type()}", NOT_READ))
    elif message.get_content_type() == "message/rfc822":
        yield message
    elif message.get_content_type() == "multipart/alternative":
        yield from _best_version(message, omissions)
    elif message.is_multipart():
        for part in message.iter_parts():
            yield from _leaves(part, omissions)
    elif message.get_content_maintype() == "text" or message.get_content_type() == "application/pkcs7-mime":
        yield message
    else:
        omissions.append(Omission(f"attachment of type {message.get_content_type()}", NOT_READ))


def _best_version(message: MIMEPart, omissions: list[Omission]) -> Iterator[MIMEPart]:
    """Senders put the richest version last; but a version that we cannot read helps nobody."""
    versions = list(message.iter_parts())
    for version in reversed(versions):
        if version.is_multipart() or version.get_content_maintype() == "text":
            yield from _leaves(version, omissions)
            return


def _add_body(assembly: PageAssembly, leaf: MIMEPart) -> tuple[Omission, ...]:
    text = _text(leaf)
    if leaf.get_content_subtype() == "html":
        return add_html(text, assembly)[1]
    add_plain(assembly, text)
    return ()


def _text(leaf: MIMEPart) -> str:
    payload = leaf.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    # Flowed or fixed, declared or not: the decoder believes a charset only when it fits.
    return decode(content, "the message", leaf.get_content_charset()) if content.strip() else ""


def _header(message: MIMEPart, name: str) -> str:
    try:
        return clean(str(message.get(name, "")))
    except (ValueError, IndexError, AttributeError, LookupError):  # the parser trips over some malformed headers
        return clean(next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), ""))
