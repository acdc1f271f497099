"""Is this text, and which kind of text? From the first bytes of a file alone."""

from __future__ import annotations

import codecs
import re

# The longer mark first: UTF-32's begins with UTF-16's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Control characters that no text has, but for the few that terminals and page breaks use (tab, line ends, form feed,
# escape, and the end mark of DOS).
_CONTROL = bytes(set(range(32)) - {0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1A, 0x1B})
MOST_CONTROL_SHARE = 0.005
MOST_STRANGE_SHARE = 0.05

# Nothing that was taken is given back: a hostile file may begin with a thousand comments.
HTML_START = re.compile(
    r"(?:<\?xml[^>]*+>\s*+)?+(?:(?><!--.*?-->)\s*+)*+"
    r"<(!doctype html|html|head|body|meta|title|div|h[1-6]|table|p)\b",
    re.DOTALL,
)
XML_START = re.compile(r"<(!doctype\s|[a-z_][\w.-]*(:[\w.-]+)?(\s[^<>]*)?>)", re.IGNORECASE)
# Office documents as one XML file: OpenDocument's flat kind, Word's of 2003 and 2006.
XML_ROOTS = {"<office:document": "fodt", "<w:worddocument": "word 2003", "<pkg:package": "word 2003"}
JSON_START = re.compile(r'\{\s*("[^"\n]*"\s*:|\}\s*$)|\[\s*[\[{"]')
MAIL_HEADER = re.compile(r"[!-9;-~]+:(?:[ \t].*)?$")
MAIL_NAMES = re.compile(
    r"(from|to|cc|bcc|subject|date|mime-version|message-id|received|return-path|delivered-to|content-type"
    r"|content-transfer-encoding|reply-to|sender|in-reply-to|references|dkim-signature|x-mailer):",
    re.IGNORECASE,
)
MAILBOX_START = re.compile(r"From \S+ .*\d{4}")


def wide_encoding(content: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, told by where the zero bytes are: most characters of most texts have some."""
    sample = content[: min(len(content), 4096) // 4 * 4]
    if b"\x00" not in sample:
        return None
    shares = [sample[at::4].count(0) / max(1, len(sample) // 4) for at in range(4)]
    for zeros, encoding in (((2, 3), "utf-32-le"), ((0, 1), "utf-32-be")):
        if all(shares[at] > 0.9 for at in zeros):
            return encoding
    even, odd = shares[0] + shares[2], shares[1] + shares[3]
    # Text of another script than ours has few zeros; but all of them are on the same side.
    return "utf-16-be" if not odd else "utf-16-le" if not even else None


def text_of(head: bytes) -> str | None:
    """The beginning as text, good enough to look for marks in it; None when the bytes are not text."""
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if head.startswith(mark)), None) or wide_encoding(head)
    if encoding is not None:
        text = head[: len(head) // 4 * 4].decode(encoding, errors="replace")
        # Some binary formats have zeros at every other place, too.
        return None if encoding != "utf-8-sig" and strange_share(text) > MOST_STRANGE_SHARE else text
    rare = len(head) - len(head.translate(None, _CONTROL))
    if b"\x00" in head or rare > MOST_CONTROL_SHARE * len(head) + 1:
        return None
    return head.decode("utf-8", errors="replace")


def strange_share(text: str) -> float:
    """The share of characters that text does not have: control and private ones, and those of no language."""
    return sum(not (char.isprintable() or char.isspace()) or char == "\ufffd" for char in text) / max(1, len(text))


def kind_of_text(text: str, *, structured: bool = True) -> str | None:
    """html, xml, eml, mbox, json, …; None for anything else. `structured`: look for JSON and calendars, too, which
    somebody may have wanted to be plain text."""
    start = text.lstrip("\ufeff \t\r\n")
    lowered = start[:2048].lower()
    if HTML_START.match(lowered):
        return "html"
    if lowered.startswith("<?xml"):
        return next((kind for root, kind in XML_ROOTS.items() if root in lowered), "xml")
    if MAILBOX_START.match(start) and is_mail(start.partition("\n")[2]):
        return "mbox"
    if is_mail(start):
        return "eml"
    return _structured_kind(start) if structured else None


def _structured_kind(start: str) -> str | None:
    if start.startswith(("BEGIN:VCALENDAR", "BEGIN:VCARD")):
        return "calendar"
    if start.startswith("{\\rtf"):
        return "rtf"
    if XML_START.match(start):
        return "xml"
    if not JSON_START.match(start):
        return None
    lines = start.splitlines()
    return "jsonl" if len(lines) > 1 and all(line.endswith("}") for line in lines[:2]) else "json"


def is_mail(text: str) -> bool:
    """A block of header lines with at least two that mail has, or MIME's own first line."""
    known = 0
    for line in text[:8192].splitlines()[:60]:
        if line[:1] in " \t" and known:
            continue
        if not line or not MAIL_HEADER.match(line):
            break
        known += bool(MAIL_NAMES.match(line))
    return known >= 2
