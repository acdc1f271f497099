"""The child that reads hostile files: gives up its rights, then answers one request a line until its input ends.

Run as `python -P -m ingest.parser_process` in an empty scratch folder. The first line it gets is `{"start": …}`, the
first it sends `{"ready": …}`; `ingest.messages` describes the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO, cast

from ingest import messages, sandbox
from ingest.elements import Omission, Page, Summary
from ingest.errors import IngestError, LimitReached, NotNow, Unreadable
from ingest.limits import Limits
from ingest.messages import Message
from ingest.network_ban import NetworkBan
from ingest.page_pieces import in_pieces
from ingest.plain_file import FileIdentity, passing_cause, require_same

# Said by exit status, since a process out of memory can hardly say anything else.
OUT_OF_MEMORY = 77


def main() -> None:
    requests, answers = _take_pipes()
    start = messages.decode(requests.readline())["start"]
    options = cast(dict[str, object], start)
    limits = Limits(**cast(dict[str, int], options["limits"]))
    report = sandbox.enter(
        limits,
        niceness=cast(int, options["niceness"]),
        network=cast(NetworkBan, options["network"]),
    )
    _send(answers, {"ready": asdict(report)})
    for line in requests:
        sandbox.allow_processor(limits.cpu_s)
        try:
            for message in _answers(messages.decode(line), limits):
                _send(answers, message)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for the protocol alone: what a library prints, or a converter reads, must not touch them."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _send(answers: BinaryIO, message: Message) -> None:
    answers.write(messages.encode(message))
    answers.flush()


def _answers(request: Message, limits: Limits) -> Iterator[Message]:
    try:
        if "parse" in request:
            yield from _parse(request["parse"], limits)
        else:
            yield _render(cast(dict[str, str], request["render"]), limits)
    except MemoryError:
        raise
    except Exception as exc:  # the edge: libraries fail on damaged files in any way they like, and the next file waits
        yield messages.encode_error(_told(exc))


def _told(exc: Exception) -> IngestError:
    """What a failure says of the file; nothing when it was the disk that failed, whatever a reader made of that."""
    if (cause := passing_cause(exc)) is not None:
        return NotNow(f"It could not be read just now: the system says “{cause.strerror}”.")
    if isinstance(exc, IngestError):
        return exc
    return Unreadable(f"The file looks damaged: its reader failed ({_named(exc)}).")


def _named(exc: Exception) -> str:
    detail = str(exc).splitlines()
    return f"{type(exc).__name__}: {detail[0][:200]}" if detail else type(exc).__name__


def _parse(request: object, limits: Limits) -> Iterator[Message]:
    from ingest.readers.registry import reader_named

    path, identity, reader, task = messages.decode_task(request, limits)
    pages = 0
    summary: Summary | None = None
    with _the_same_file(path, identity):
        for item in _within_characters(in_pieces(reader_named(reader).read(path, task)), limits.characters):
            if isinstance(item, Summary):
                summary = item
                continue
            pages += 1
            if pages > task.first_page:
                yield messages.encode_page(item)
            if item.confidence is not None:
                sandbox.allow_processor(limits.cpu_s)  # recognising text is slow, and has limits of its own
    if summary is None:
        raise Unreadable("The file looks damaged: its reader stopped before the end.")
    yield messages.encode_summary(summary, sandbox.resident_bytes(), sandbox.peak_bytes())


@contextmanager
def _the_same_file(path: Path, identity: FileIdentity | None) -> Iterator[None]:
    """Raises NotNow when the file was exchanged before or in the block: then neither what was read nor a failure says
    anything of the file that was asked for."""
    if identity is None:
        yield
        return
    require_same(path, identity)
    try:
        yield
    finally:
        require_same(path, identity)


def _within_characters(items: Iterator[Page | Summary], most: int) -> Iterator[Page | Summary]:
    """Pages until `most` characters are used up; the summary then says how many were left out."""
    left, dropped = most, 0
    for item in items:
        if isinstance(item, Summary):
            reason = f"the limit of {most:,} characters for one file is reached"
            more = (Omission(f"the last {dropped:,} pages or parts", reason),) if dropped else ()
            yield replace(item, omissions=item.omissions + more)
        elif dropped or len(item.text) > left:
            dropped += 1
        else:
            left -= len(item.text)
            yield item


def _render(request: dict[str, str], limits: Limits) -> Message:
    from ingest.readers.pdf_image import render_page

    png = render_page(Path(request["path"]), int(request["page_number"]), int(request["width_px"]), limits)
    if len(png) > limits.message_bytes // 2:
        raise LimitReached(f"The picture of this page has {len(png):,} bytes. Ask for one that is less wide.")
    return messages.encode_image(png, sandbox.resident_bytes(), sandbox.peak_bytes())


if __name__ == "__main__":
    main()
