"""What happens while a question is answered, as typed events; page, API and command line render the same ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from models.interfaces import Engine

Mode = Literal["quote", "generate"]


@dataclass(frozen=True)
class Passage:
    """A stretch of a document that retrieval found. `file` is relative to its folder; `page` counts from 1 or is None;
    `score` falls with the rank; `heading` is the path of headings above it ("Benefits › Dental")."""

    file: str
    part: str | None
    page: int | None
    page_end: int | None
    text: str
    score: float
    chunk_id: int
    document_id: int
    version: int
    heading: str


@dataclass(frozen=True)
class Citation:
    """Sentence-level evidence. `id` is stored and stable: the source panel opens it. `verified` means that `quote`
    stands, letter for letter but for white space, in the text of that page."""

    id: str
    n: int
    file: str
    part: str | None
    page: int | None
    quote: str
    chunk_id: int
    version: int
    verified: bool


@dataclass(frozen=True)
class Answer:
    """The whole of it, as `ask --json` prints it. `text` holds markers like [1] that point to `citations`. `engine` is
    who wrote it; None where the documents speak for themselves."""

    question: str
    text: str
    mode: Mode
    refused: bool
    confidence: float
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    model: str
    timings_ms: dict[str, float] = field(default_factory=dict)
    usage: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    engine: Engine | None = None


@dataclass(frozen=True)
class Stage:
    """A step begins: "understand", "retrieve", "select", "generate", "verify". `detail` is for people."""

    name: str
    detail: str = ""


@dataclass(frozen=True)
class Retrieved:
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class Token:
    """The next piece of the answer's text, to be appended as it is. What was sent is never taken back."""

    text: str


@dataclass(frozen=True)
class Cited:
    citation: Citation


@dataclass(frozen=True)
class EngineLost:
    """A language model failed while it was to write. `next` is what happens now: another "engine" writes from the
    beginning, since nothing was shown yet; the documents are "quote"d; or it is the "end" of the answer, which keeps
    what was shown. `message` is for people."""

    message: str
    next: Literal["engine", "quote", "end"]


@dataclass(frozen=True)
class Done:
    answer: Answer


@dataclass(frozen=True)
class Failed:
    """The answer cannot be given. `code` is for programs ("engine_unavailable", "cancelled"), `message` for people."""

    code: str
    message: str


Event = Stage | Retrieved | Token | Cited | EngineLost | Done | Failed
