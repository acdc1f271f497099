"""One question and its answer as the page shows it: built event by event while it runs, or from a stored answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rag.events import Answer, Citation, Cited, Done, EngineLost, Event, Failed, Passage, Retrieved, Stage, Token

CANCELLED = "cancelled"
# Timings that are no steps: they span or lie within others.
MOMENTS = ("total", "first_token")


@dataclass(frozen=True)
class Step:
    """A stage of the work. `took_ms` is None while it runs."""

    name: str
    detail: str
    took_ms: float | None


@dataclass(frozen=True)
class Turn:
    """Immutable; `after` gives the next one. `answer` is there once the answer is whole, `failure` when it never will
    be. `lost` are engines that failed on the way, while it runs; then its notes tell. `running_since_s` is the clock at
    which the stage that runs began."""

    question: str
    text: str = ""
    steps: tuple[Step, ...] = ()
    passages: tuple[Passage, ...] = ()
    citations: tuple[Citation, ...] = ()
    lost: tuple[EngineLost, ...] = ()
    answer: Answer | None = None
    failure: Failed | None = None
    running_since_s: float = 0.0

    @property
    def running(self) -> bool:
        return self.answer is None and self.failure is None

    @property
    def quotes(self) -> bool:
        """Whether the text is the documents' own, to be shown letter for letter; else a model wrote it, in Markdown."""
        if self.answer is not None:
            return self.answer.mode == "quote"
        return all(step.name != "generate" for step in self.steps)

    def after(self, event: Event, at_s: float) -> Turn:
        """The turn once `event` has come, `at_s` seconds by the caller's clock."""
        match event:
            case Stage():
                steps = (*self._steps_ended(at_s), Step(event.name, event.detail, None))
                return replace(self, steps=steps, running_since_s=at_s)
            case Retrieved():
                return replace(self, passages=event.passages)
            case Token():
                return replace(self, text=self.text + event.text)
            case Cited():
                return replace(self, citations=(*self.citations, event.citation))
            case EngineLost():
                return replace(self, lost=(*self.lost, event))
            case Done():
                return replace(of_answer(event.answer), steps=self._steps_ended(at_s))
            case Failed():
                return replace(self, failure=event, steps=self._steps_ended(at_s))

    def _steps_ended(self, at_s: float) -> tuple[Step, ...]:
        if not self.steps or self.steps[-1].took_ms is not None:
            return self.steps
        return (*self.steps[:-1], replace(self.steps[-1], took_ms=(at_s - self.running_since_s) * 1000))


def of_answer(answer: Answer) -> Turn:
    """A stored answer; its steps are what its timings tell."""
    timings = answer.timings_ms.items()
    steps = tuple(Step(name, "", took_ms) for name, took_ms in timings if name not in MOMENTS)
    return Turn(answer.question, answer.text, steps, answer.passages, answer.citations, answer=answer)
