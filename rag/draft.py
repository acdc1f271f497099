"""An answer in the making."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.interfaces import Engine
from rag.citations import CitationList
from rag.events import Answer, Mode, Passage, Token


@dataclass
class Draft:
    """What is gathered on the way. `engine` is who writes, once it has begun to."""

    question: str
    mode: Mode
    model: str
    text: str = ""
    refused: bool = False
    confidence: float = 0.0
    citations: CitationList = field(default_factory=CitationList)
    timings_ms: dict[str, float] = field(default_factory=dict)
    usage: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    engine: Engine | None = None

    def say(self, text: str) -> Token:
        self.text += text
        return Token(text)

    def without_writer(self) -> None:
        """Nobody writes, or not yet."""
        self.engine = None
        self.timings_ms.pop("first_token", None)

    def quotes(self) -> None:
        """The documents speak for themselves."""
        self.without_writer()
        self.mode, self.model = "quote", "quote"

    def finished(self, passages: tuple[Passage, ...]) -> Answer:
        return Answer(
            question=self.question,
            text=self.text.strip(),
            mode=self.mode,
            refused=self.refused,
            confidence=round(self.confidence, 4),
            citations=self.citations.citations,
            passages=passages,
            model=self.model,
            timings_ms=self.timings_ms,
            usage=self.usage,
            notes=tuple(self.notes),
            engine=self.engine,
        )
