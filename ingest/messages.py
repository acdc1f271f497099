"""What a parser process and its pool say to each other: one JSON object a line, checked on arrival.

The child runs hostile files, so the parent trusts none of its words: types, bounds and order are verified here.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from ingest.elements import Element, Kind, Line, Omission, Page, Summary
from ingest.errors import Encrypted, IngestError, LimitReached, NotNow, Unreadable, Unsupported
from ingest.limits import Limits
from ingest.plain_file import FileIdentity
from ingest.task import OcrOptions, Task

Message = dict[str, object]
T = TypeVar("T")

KINDS = frozenset(get_args(Kind))
# Only these may a child say of its file; whether it died is for the parent to see.
CHILD_ERRORS: Mapping[str, type[IngestError]] = {
    error.code: error for error in (Unsupported, Encrypted, Unreadable, LimitReached, NotNow)
}
# A message with one of these is the last word on a request.
FINAL = frozenset({"summary", "error", "image"})
LONGEST_MESSAGE = 2_000
MOST_OMISSIONS = 500
FURTHEST_POINT = 1e7
NUMBERS = frozenset((int, float))


class BadMessage(Exception):
    """A line that the protocol does not know."""


def encode(message: Message) -> bytes:
    """One line. ASCII only, so that any file name survives, even one that is not valid Unicode."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise BadMessage("a line is not JSON") from exc
    return _mapping(message)


def encode_page(page: Page) -> Message:
    fields: Message = {
        "number": page.number,
        "part": page.part if page.part is None else _short(page.part),
        "text": _storable(page.text),
        "elements": [[e.kind, e.start, e.end, e.level, e.header_end] for e in page.elements],
        "lines": [[line.start, line.end, line.left, line.top, line.right, line.bottom] for line in page.lines],
        "width": page.width,
        "height": page.height,
        "confidence": page.confidence,
    }
    return {"page": fields}


def was_recognised(message: Message) -> bool:
    """Whether the message is a page whose text was recognised in a picture."""
    page = message.get("page")
    return isinstance(page, dict) and page.get("confidence") is not None


def encode_summary(summary: Summary, resident_bytes: int, peak_bytes: int) -> Message:
    omissions = [{"what": _short(one.what), "reason": _short(one.reason)} for one in summary.omissions]
    if (more := len(omissions) - MOST_OMISSIONS) > 0:
        said = {"what": f"{more:,} more parts", "reason": "they were not read, or not wholly"}
        omissions = [*omissions[:MOST_OMISSIONS], said]
    fields: Message = {
        "title": summary.title if summary.title is None else _short(summary.title),
        "pages_total": summary.pages_total,
        "omissions": omissions,
    }
    return {"summary": fields, "resident_bytes": resident_bytes, "peak_bytes": peak_bytes}


def encode_task(
    path: str, reader: str, ocr: OcrOptions, first_page: int, identity: FileIdentity | None = None
) -> Message:
    """The request to read a file: the one that has the identity, and no other in its place."""
    fields = {"path": path, "reader": reader, "ocr": asdict(ocr), "first_page": first_page, "identity": identity}
    return {"parse": fields}


def decode_task(value: object, limits: Limits) -> tuple[Path, FileIdentity | None, str, Task]:
    """Path, identity, reader, task. Only the parent says this, so that types are not doubted."""
    fields = _mapping(value)
    ocr = cast("dict[str, Any]", fields["ocr"])
    options = OcrOptions(engine=ocr["engine"], languages=tuple(ocr["languages"]))
    task = Task(limits, options, first_page=cast(int, fields["first_page"]))
    numbers = cast("list[int] | None", fields["identity"])
    identity = None if numbers is None else FileIdentity(*numbers)
    return Path(str(fields["path"])), identity, str(fields["reader"]), task


def encode_error(error: IngestError) -> Message:
    return {"error": {"code": error.code, "message": _short(str(error))}}


def encode_image(png: bytes, resident_bytes: int, peak_bytes: int) -> Message:
    return {"image": base64.b64encode(png).decode("ascii"), "resident_bytes": resident_bytes, "peak_bytes": peak_bytes}


def decode_image(value: object) -> bytes:
    """The bytes of a PNG. Raises BadMessage when they are something else (a browser would be asked to show it)."""
    try:
        png = base64.b64decode(_text(value, 1 << 28), validate=True)
    except binascii.Error as exc:
        raise BadMessage("an image is not base64") from exc
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise BadMessage("an image is not a PNG")
    return png


def decode_page(value: object, limits: Limits) -> Page:
    """Raises BadMessage where a field is missing, of a wrong type, or points outside of the text."""
    fields = _mapping(value)
    text = _text(fields.get("text"), limits.characters)
    elements = tuple(_element(item, len(text)) for item in _items(fields.get("elements")))
    lines = tuple(_line(item, len(text)) for item in _items(fields.get("lines")))
    _refuse_overlap([(element.start, element.end) for element in elements])
    _refuse_overlap([(line.start, line.end) for line in lines])
    return Page(
        number=_optional(fields.get("number"), lambda number: _integer(number, 1, limits.pages)),
        part=_optional(fields.get("part"), lambda part: _text(part, LONGEST_MESSAGE)),
        text=text,
        elements=elements,
        lines=lines,
        width=_optional(fields.get("width"), _length),
        height=_optional(fields.get("height"), _length),
        confidence=_optional(fields.get("confidence"), _share),
    )


def decode_summary(value: object) -> Summary:
    fields = _mapping(value)
    omissions = tuple(_omission(item) for item in _items(fields.get("omissions")))
    title = _optional(fields.get("title"), lambda title: _text(title, LONGEST_MESSAGE))
    return Summary(title=title, pages_total=_integer(fields.get("pages_total"), 0, 1 << 31), omissions=omissions)


def decode_error(value: object) -> IngestError:
    fields = _mapping(value)
    kind = CHILD_ERRORS.get(_text(fields.get("code"), LONGEST_MESSAGE), Unreadable)
    return kind(_text(fields.get("message"), 1 << 20)[:LONGEST_MESSAGE])


def _short(text: str) -> str:
    """What the other side takes, of what a file may say at any length."""
    return _storable(text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…")


def _storable(text: str) -> str:
    """The same length, without halves of surrogate pairs."""
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode("utf-8")


def _element(value: object, length: int) -> Element:
    fields = _items(value)
    if len(fields) != 5 or fields[0] not in KINDS:
        raise BadMessage("an element is malformed")
    start, end = _span(fields[1], fields[2], length)
    level = _integer(fields[3], 0, 6)
    header_end = _integer(fields[4], 0, end)
    if header_end and header_end < start:
        raise BadMessage("a table's header ends before the table")
    return Element(kind=fields[0], start=start, end=end, level=level, header_end=header_end)  # type: ignore[arg-type]  # a member of KINDS


def _line(value: object, length: int) -> Line:
    """There are more lines than anything else, so that they are checked at one go: what JSON calls a number is an
    int or a float, and "not a number" is nowhere between two others."""
    if not isinstance(value, list) or len(value) != 6:
        raise BadMessage("a line is malformed")
    start, end, left, top, right, bottom = value
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= length:
        raise BadMessage("a line is not within the text")
    if not {type(left), type(top), type(right), type(bottom)} <= NUMBERS:
        raise BadMessage("a coordinate was expected")
    if not (-FURTHEST_POINT <= left <= right <= FURTHEST_POINT and -FURTHEST_POINT <= top <= bottom <= FURTHEST_POINT):
        raise BadMessage("a line's box is inside out, or far away")
    return Line(start, end, float(left), float(top), float(right), float(bottom))


def _omission(value: object) -> Omission:
    fields = _mapping(value)
    what, reason = (_text(fields.get(name), 1 << 20)[:LONGEST_MESSAGE] for name in ("what", "reason"))
    return Omission(what=what, reason=reason)


def _refuse_overlap(spans: list[tuple[int, int]]) -> None:
    if any(following[0] < span[1] for span, following in itertools.pairwise(spans)):
        raise BadMessage("slices overlap or are out of order")


def _span(start: object, end: object, length: int) -> tuple[int, int]:
    first = _integer(start, 0, length)
    return first, _integer(end, first, length)


def _mapping(value: object) -> Message:
    if not isinstance(value, dict):
        raise BadMessage("an object was expected")
    return value


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise BadMessage("a list was expected")
    return value


def _integer(value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadMessage(f"a whole number from {least} to {most} was expected")
    return value


def _coordinate(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > FURTHEST_POINT:
        raise BadMessage("a coordinate was expected")
    return float(value)


def _length(value: object) -> float:
    length = _coordinate(value)
    if length <= 0:
        raise BadMessage("a length above zero was expected")
    return length


def _share(value: object) -> float:
    share = _coordinate(value)
    if not 0 <= share <= 1:
        raise BadMessage("a share from 0 to 1 was expected")
    return share


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise BadMessage(f"a text of at most {longest} characters was expected")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise BadMessage("a text holds half a surrogate pair") from exc
    return value


def _optional(value: object, read: Callable[[object], T]) -> T | None:
    return None if value is None else read(value)
