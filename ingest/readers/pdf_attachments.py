"""Files that lie in a PDF, as attachments or as the documents of a portfolio: each is read by its own reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingest.elements import Page
from ingest.errors import Unreadable
from ingest.readers.members import Members


def attached_pages(document: Any, members: Members) -> Iterator[Page]:
    """The pages of all of them. `document` is a `pypdfium2.PdfDocument`; what cannot be read is noted in `members`."""
    import pypdfium2

    for index in range(document.count_attachments()):
        if members.full:
            return
        name = f"attachment {index + 1}"
        try:
            attachment = document.get_attachment(index)
            name = attachment.get_name() or name
            content = bytes(attachment.get_data())
        except pypdfium2.PdfiumError as exc:
            members.omit(name, Unreadable(f"it is damaged ({exc})"))
            continue
        yield from members.pages(name, [content])
