"""Calendars and address cards (ics, vcf) as lines that people read: "Summary: …", "Start: …", one block an entry."""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.readers.assembly import PageAssembly, clean
from ingest.readers.decoding import decode, read_text
from ingest.task import Task

LINE = re.compile(r"(?:[\w-]+\.)?([A-Za-z-]+)((?:;[^:\"]*(?:\"[^\"]*\")?[^:\"]*)*):(.*)", re.DOTALL)
NAMES = {
    "dtstart": "Start",
    "dtend": "End",
    "due": "Due",
    "rrule": "Repeats",
    "fn": "Name",
    "org": "Organisation",
    "tel": "Telephone",
    "adr": "Address",
    "bday": "Birthday",
    "url": "Link",
    "tzid": "Time zone",
}
TITLES = ("summary", "fn")
# What programs say to each other, and pictures and sounds.
TECHNICAL = {
    "begin",
    "end",
    "version",
    "prodid",
    "calscale",
    "method",
    "uid",
    "dtstamp",
    "sequence",
    "created",
    "last-modified",
    "rev",
    "n",
    "transp",
    "class",
    "action",
    "trigger",
    "photo",
    "logo",
    "sound",
    "key",
    "valarm",
    "tzoffsetfrom",
    "tzoffsetto",
    "tzname",
    "acknowledged",
}
TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
ENTRIES = ("VEVENT", "VTODO", "VJOURNAL", "VCARD", "VFREEBUSY")


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    assembly = PageAssembly()
    titles: list[str] = []
    for fields in _entries(clean(read_text(path, task.limits))):
        title = next((value for name, value in fields if name in TITLES), "")
        if title:
            titles.append(title)
            assembly.add("heading", title, level=2)
        assembly.add("paragraph", "\n".join(f"{_label(name)}: {value}" for name, value in fields if name not in TITLES))
    if assembly.empty:
        raise Unreadable(f"{path.name} holds no entry.")
    yield assembly.page()
    yield Summary(title=titles[0] if titles else None, pages_total=1)


def _entries(text: str) -> Iterator[list[tuple[str, str]]]:
    """The fields of each entry, and those of the calendar itself."""
    fields: list[tuple[str, str]] = []
    skipping = ""
    for line in _unfolded(text):
        match = LINE.fullmatch(line)
        if not match:
            continue
        name, options, value = match.group(1).lower(), match.group(2), match.group(3)
        if name == "begin" and value.upper() in ("VTIMEZONE", "VALARM"):
            skipping = value.upper()
        elif name == "end" and value.upper() == skipping:
            skipping = ""
        elif name in ("begin", "end") and value.upper() in ENTRIES:
            if fields:
                yield fields
            fields = []
        elif not skipping and name not in TECHNICAL and not name.startswith("x-"):
            shown = _value(name, options, value)
            if shown:
                fields.append((name, shown))
    if fields:
        yield fields


def _unfolded(text: str) -> list[str]:
    """A long line goes on in the next one, after a space; in old cards after a "=" at its end."""
    text = re.sub(r"\n[ \t]", "", text)
    return re.sub(r"(?<=[^\n])=\n(?=[^\n:;]*=)", "", text).split("\n")


def _value(name: str, options: str, value: str) -> str:
    if "QUOTED-PRINTABLE" in options.upper():
        charset = re.search(r"charset=([\w-]+)", options, re.IGNORECASE)
        raw = quopri.decodestring(value.encode("utf-8"))
        value = decode(raw, "a field", charset.group(1) if charset else None) if raw.strip() else ""
    if name in ("attendee", "organizer"):
        common = re.search(r"CN=(\"[^\"]*\"|[^;:]*)", options)
        address = value.removeprefix("mailto:").removeprefix("MAILTO:")
        return f"{common.group(1).strip(chr(34))} <{address}>" if common else address
    time = TIME.fullmatch(value.strip())
    if time:
        return _shown_time(time)
    steps = re.split(r"(?<!\\);", value) if name in ("adr", "org") else [value]
    return ", ".join(filter(None, map(_unescaped, steps)))


def _unescaped(text: str) -> str:
    plain = re.sub(r"\\([nN,;\\])", lambda match: " " if match.group(1) in "nN" else match.group(1), text)
    return " ".join(plain.split())


def _shown_time(time: re.Match[str]) -> str:
    year, month, day, hour, minute, _, universal = time.groups()
    clock = f" {hour}:{minute}{' UTC' if universal else ''}" if hour else ""
    return f"{year}-{month}-{day}{clock}"


def _label(name: str) -> str:
    return NAMES.get(name, name.capitalize().replace("-", " "))
