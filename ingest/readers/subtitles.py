"""Subtitles and transcripts (srt, vtt, ass, sbv): what is said, in paragraphs with the time of their beginning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.readers.decoding import read_text
from ingest.task import Task

TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
# "00:01:02,000 --> 00:01:05,000" of srt and vtt, "0:01:02.000,0:01:05.000" of sbv.
SPAN = re.compile(rf"^\s*{TIME}\s*(?:-->|,)\s*{TIME}.*$")
DIALOGUE = re.compile(rf"^Dialogue:[^,]*,\s*{TIME},\s*{TIME},(?:[^,]*,){{6}}(.*)$")
MARKS = re.compile(r"</?[a-zA-Z][^<>]*>|\{\\[^}]*\}|<\d[\d:.]*>")
SPEAKER = re.compile(r"<v(?:\.[^ >]*)? ([^>]+)>")
SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]]*$")
# What is said without a pause belongs together, up to a length that is pleasant to quote.
PAUSE_S, PARAGRAPH_CHARACTERS, LONGEST_CHARACTERS = 4.0, 300, 900


@dataclass(frozen=True)
class Cue:
    begin_s: float
    end_s: float
    text: str


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    cues = list(_cues(read_text(path, task.limits).split("\n")))
    assembly = PageAssembly()
    for paragraph in _paragraphs(cues):
        text = "\n".join(cue.text for cue in paragraph)
        assembly.add("paragraph", f"[{_clock(paragraph[0].begin_s)}] {text}")
    if assembly.empty:
        raise Unreadable(f"{path.name} holds no line with a time: it is not a file of subtitles.")
    yield assembly.page()
    yield Summary(None, 1)


def _cues(lines: list[str]) -> Iterator[Cue]:
    at = 0
    while at < len(lines):
        dialogue, span = DIALOGUE.match(lines[at]), SPAN.match(lines[at])
        at += 1
        if dialogue:
            said = [dialogue.group(9).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")]
            yield Cue(*_times(dialogue), _plain(said))
        elif span:
            start = at
            while at < len(lines) and lines[at].strip():
                at += 1
            yield Cue(*_times(span), _plain(lines[start:at]))


def _times(match: re.Match[str]) -> tuple[float, float]:
    begin, end = (
        int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction or 0}")
        for hours, minutes, seconds, fraction in (match.groups()[:4], match.groups()[4:8])
    )
    return begin, end


def _plain(lines: list[str]) -> str:
    text = SPEAKER.sub(lambda match: f"{match.group(1)}: ", "\n".join(line.strip() for line in lines))
    return MARKS.sub("", text).strip()


def _paragraphs(cues: list[Cue]) -> Iterator[list[Cue]]:
    paragraph: list[Cue] = []
    length = 0
    for cue in cues:
        if paragraph and (
            cue.begin_s - paragraph[-1].end_s > PAUSE_S
            or length > LONGEST_CHARACTERS
            or (length > PARAGRAPH_CHARACTERS and SENTENCE_END.search(paragraph[-1].text))
        ):
            yield paragraph
            paragraph, length = [], 0
        # Captions of live speech repeat the line before.
        if cue.text and not (paragraph and paragraph[-1].text == cue.text):
            paragraph.append(cue)
            length += len(cue.text)
    if paragraph:
        yield paragraph


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
