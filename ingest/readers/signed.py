"""Signed files (p7m, CMS): what was signed lies inside of them, and is read by the reader of its own format."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Page, Summary
from ingest.errors import Encrypted, Unreadable
from ingest.readers.decoding import read_bytes
from ingest.readers.members import Members
from ingest.task import Task

ARMOUR = re.compile(rb"-----(BEGIN|END) [A-Z0-9 ]+-----")


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Whether the signature is right is not asked. Raises Encrypted, Unreadable."""
    content = _signed_content(_binary(read_bytes(path, task.limits)), path.name)
    # "contract.pdf.p7m" holds contract.pdf; what was signed as mail begins with headers of mail.
    name = "signed.eml" if re.match(rb"content-type:", content, re.IGNORECASE) else path.stem
    members = Members(path, task)
    count = 0
    for page in members.pages(name, [content]):
        count += 1
        yield page
    if not count:
        raise members.failure()
    yield Summary(None, members.pages_total, members.omissions())


def _binary(content: bytes) -> bytes:
    if content[:1] == b"\x30":
        return content
    try:
        return base64.b64decode(ARMOUR.sub(b"", content))
    except binascii.Error as exc:
        raise Unreadable("The signed file is damaged: it is neither binary nor base64.") from exc


def _signed_content(content: bytes, name: str) -> bytes:
    from asn1crypto import cms

    try:
        info = cms.ContentInfo.load(content)
        kind = info["content_type"].native
        signed = info["content"]["encap_content_info"]["content"].native if kind == "signed_data" else None
    except (ValueError, TypeError, KeyError) as exc:
        raise Unreadable(f"{name} is damaged: its signature cannot be read ({str(exc)[:200]}).") from exc
    if "enveloped" in kind or "encrypted" in kind:
        raise Encrypted(f"{name} is encrypted. Open it with the key of its receiver and save it decrypted.")
    if not isinstance(signed, bytes) or not signed:
        raise Unreadable(f"{name} is a signature alone: what it signs is another file.")
    return signed
