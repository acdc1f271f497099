"""A conversation as HTML: questions, answers, what happened on the way. Pure functions; document text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rag.conversations import ConversationInfo
from rag.events import Answer, Citation, Passage
from web.markup import place, quoted, written
from web.turn import CANCELLED, Step, Turn, of_answer

# Stages as events name them, and parts of them as stored timings do.
STEPS_DONE = {
    "understand": "Understood the question",
    "retrieve": "Searched the documents",
    "embed": "Understood the question",
    "dense": "Searched by meaning",
    "lexical": "Searched by words",
    "fuse": "Joined both searches",
    "select": "Chose the sentences",
    "quote": "Quoted them",
    "generate": "Wrote the answer",
    "verify": "Checked each quote",
}
STEPS_RUNNING = {
    "understand": "Understanding the question",
    "retrieve": "Searching the documents",
    "select": "Choosing the sentences",
    "quote": "Quoting them",
    "generate": "Writing the answer",
    "verify": "Checking each quote",
}
FIRST_WORDS_CHARACTERS = 70
SNIPPET_CHARACTERS = 320


def render_turns(answers: Sequence[Answer], conversation: str) -> str:
    """The finished turns; `data-conversation` lets the page keep the address bar up to date."""
    turns = "".join(render_turn(of_answer(answer)) for answer in answers)
    return f'<div class="lx-turns" data-conversation="{escape(conversation, quote=True)}">{turns}</div>'


def render_turn(turn: Turn) -> str:
    state = "lx-turn lx-is-running" if turn.running else "lx-turn"
    return (
        f'<article class="{state}"><h3 class="lx-asked">{escape(turn.question)}</h3>'
        f'<div class="{_answer_classes(turn)}" data-question="{escape(turn.question, quote=True)}">'
        f"{_trace(turn)}{_verdict(turn)}{_text(turn)}{_lost(turn)}{_failure(turn)}{_references(turn.citations)}"
        f"{_writer(turn)}{_closest(turn)}{_notes(turn)}{_actions(turn)}</div></article>"
    )


def _answer_classes(turn: Turn) -> str:
    classes = ["lx-answer", "lx-quotes" if turn.quotes else "lx-writes"]
    if turn.answer is not None and turn.answer.refused:
        classes.append("lx-refused")
    if turn.failure is not None:
        classes.append("lx-stopped" if turn.failure.code == CANCELLED else "lx-failed")
    return " ".join(classes)


def _trace(turn: Turn) -> str:
    """What happened and how long it took; folded once the answer is there."""
    if not turn.steps and not turn.running:
        return ""
    steps = "".join(_step(step) for step in turn.steps) or '<li class="lx-step lx-now">Starting</li>'
    if turn.running:
        return f'<ol class="lx-trace lx-trace-live">{steps}</ol>'
    return f'<details class="lx-trace"><summary>{_trace_summary(turn)}</summary><ol>{steps}</ol></details>'


def _trace_summary(turn: Turn) -> str:
    total_ms = turn.answer.timings_ms.get("total") if turn.answer else None
    if total_ms is None:
        total_ms = sum(step.took_ms or 0.0 for step in turn.steps)
    parts = [duration(total_ms)]
    if turn.answer is not None:
        if not turn.answer.refused:
            parts.append("quoted from the documents" if turn.quotes else f"written by {escape(turn.answer.model)}")
        parts.append(counted(len(turn.passages), "passage") + " read")
    return " · ".join(parts)


def _step(step: Step) -> str:
    detail = f'<span class="lx-step-detail">{escape(step.detail)}</span>' if step.detail else ""
    if step.took_ms is None:
        return f'<li class="lx-step lx-now"><span>{escape(STEPS_RUNNING.get(step.name, step.name))}</span>{detail}</li>'
    name = escape(STEPS_DONE.get(step.name, step.name))
    return f'<li class="lx-step"><span>{name}</span>{detail}<time>{duration(step.took_ms)}</time></li>'


def _verdict(turn: Turn) -> str:
    if turn.answer is None or not turn.answer.refused:
        return ""
    return '<p class="lx-verdict">No clear answer in your documents</p>'


def _text(turn: Turn) -> str:
    if not turn.text:
        return ""
    as_html = quoted if turn.quotes else written
    return f'<div class="lx-text">{as_html(turn.text, turn.citations)}</div>'


def _lost(turn: Turn) -> str:
    """Engines that failed on the way, told while the answer is made."""
    return "".join(f'<p class="lx-lost" role="status">{escape(lost.message)}</p>' for lost in turn.lost)


def _writer(turn: Turn) -> str:
    """Which engine wrote the answer, and where."""
    if turn.answer is None or turn.answer.engine is None:
        return ""
    place = turn.answer.engine.place
    return f'<p class="lx-writer" data-place="{place}">Written by {escape(str(turn.answer.engine))}</p>'


def _failure(turn: Turn) -> str:
    if turn.failure is None:
        return ""
    message = "Stopped." if turn.failure.code == CANCELLED else escape(turn.failure.message)
    return f'<p class="lx-failure" role="status">{message}</p>'


def _references(citations: Sequence[Citation]) -> str:
    """One line for each citation below the answer, which names the file and page that its number stands for."""
    if not citations:
        return ""
    rows = "".join(
        f'<li><button type="button" class="lx-reference" data-citation="{escape(citation.id, quote=True)}">'
        f'<span class="lx-reference-n">{citation.n}</span><span class="lx-reference-place">'
        f"{escape(place(citation))}</span>{_check(citation)}</button></li>"
        for citation in citations
    )
    return f'<ol class="lx-references" aria-label="Sources">{rows}</ol>'


def _check(citation: Citation) -> str:
    if citation.verified:
        return '<span class="lx-check" title="The quote stands on that page, letter for letter">quote found</span>'
    return '<span class="lx-check lx-doubt" title="The quote was not found letter for letter">quote not found</span>'


def _closest(turn: Turn) -> str:
    if turn.answer is None or not turn.answer.refused or not turn.passages:
        return ""
    rows = "".join(_passage(passage) for passage in turn.passages[:5])
    return f'<section class="lx-closest"><h4>Closest passages</h4>{rows}</section>'


def _passage(passage: Passage) -> str:
    part = f" › {escape(passage.part)}" if passage.part else ""
    page = f", page {passage.page}" if passage.page is not None else ""
    # The first words tell passages apart that stand under one heading.
    first_words = " ".join(passage.text.split())[:FIRST_WORDS_CHARACTERS]
    heading = f'<span class="lx-passage-heading">{escape(passage.heading)} · {escape(first_words)}…</span>'
    text = passage.text[:SNIPPET_CHARACTERS].rstrip()
    more = "…" if len(passage.text) > SNIPPET_CHARACTERS else ""
    return (
        f'<details class="lx-passage"><summary>{escape(passage.file)}{part}{page}{heading}</summary>'
        f"<p>{escape(text)}{more}</p></details>"
    )


def _notes(turn: Turn) -> str:
    if turn.answer is None or not turn.answer.notes:
        return ""
    return '<ul class="lx-notes">' + "".join(f"<li>{escape(note)}</li>" for note in turn.answer.notes) + "</ul>"


def _actions(turn: Turn) -> str:
    if turn.running:
        return ""
    copy = '<button type="button" class="lx-copy">Copy</button>' if turn.text else ""
    return f'<footer class="lx-actions">{copy}<button type="button" class="lx-retry">Ask again</button></footer>'


def render_welcome(*, has_documents: bool) -> str:
    """What stands where answers will be, before the first question."""
    hint = (
        "Every sentence of an answer comes with the page it stands on. Click its number to see that page."
        if has_documents
        else "Start by naming a folder of documents on the left. You can ask as soon as the first file is read."
    )
    return f'<div class="lx-welcome"><h2>What would you like to know?</h2><p>{hint}</p></div>'


def render_conversations(conversations: Sequence[ConversationInfo], current: str) -> str:
    if not conversations:
        return '<p class="lx-hint">Your conversations will be kept here.</p>'
    rows = "".join(
        f'<li><button type="button" class="lx-conversation" data-conversation="{escape(info.id, quote=True)}"'
        f"{_current(info.id == current)}>{escape(info.title or 'Untitled')}</button></li>"
        for info in conversations
    )
    return f"<ul>{rows}</ul>"


def _current(is_current: bool) -> str:
    return ' aria-current="true"' if is_current else ""


def duration(milliseconds: float) -> str:
    """For people: "8 ms", "1.4 s", "2 min 5 s"."""
    if milliseconds < 995:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
