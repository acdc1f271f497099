"""Files made for benchmarks: small notes, office files of four formats, and PDFs that two searches alone can find."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.topics import TOPICS
from tests.standins.small_pdf import small_pdf

FOLDER_FILES = 100
PAGES, TOPIC_PAGE, PAGE_SENTENCES = 10, 6, 9
NOUNS = re.findall(
    r"\w+",
    "invoice ledger budget contract supplier customer department warehouse pallet shipment quarter audit policy memo "
    "meeting agenda vendor payroll account balance report schedule manager office printer server licence tender "
    "purchase order discount tax insurance claim premium rental lease property asset depreciation",
)
VERBS = re.findall(
    r"\w+", "approved reviewed postponed cancelled signed archived updated rejected forwarded estimated audited"
)
WORDS = re.compile(r"\w+")


def office_sentences(choice: random.Random) -> Iterator[str]:
    while True:
        first, second, third = choice.sample(NOUNS, 3)
        yield (
            f"The {first} of the {second} {choice.randint(100, 9999)} was {choice.choice(VERBS)} with the {third} in "
            f"week {choice.randint(1, 52)}."
        )


def office_text(choice: random.Random, size: int) -> list[str]:
    """Paragraphs of `size` characters together."""
    sentences, paragraphs, written = office_sentences(choice), [], 0
    while written < size:
        paragraphs.append(" ".join(next(sentences) for _ in range(5)))
        written += len(paragraphs[-1])
    return paragraphs


def write_small_files(folder: Path, files: int) -> None:
    choice = random.Random(1)
    sentences = office_sentences(choice)
    for n in range(files):
        place = folder / f"{n // FOLDER_FILES:03d}" / f"note-{n:05d}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"Note {n}. {next(sentences)} {next(sentences)} {next(sentences)}\n", encoding="utf-8")


def write_office_files(folder: Path, files: int, file_bytes: int) -> None:
    """A quarter each of text, Markdown, PDF and Word."""
    choice = random.Random(2)
    folder.mkdir(parents=True)
    for n in range(files):
        paragraphs = office_text(choice, choice.randint(file_bytes * 2 // 3, file_bytes * 4 // 3))
        _WRITERS[n % len(_WRITERS)](folder / f"file-{n:04d}", paragraphs)


def _write_text(place: Path, paragraphs: list[str]) -> None:
    place.with_suffix(".txt").write_text("\n\n".join(paragraphs), encoding="utf-8")


def _write_markdown(place: Path, paragraphs: list[str]) -> None:
    sections = (f"## Section {n}\n\n{paragraph}" for n, paragraph in enumerate(paragraphs, start=1))
    place.with_suffix(".md").write_text(f"# {place.name}\n\n" + "\n\n".join(sections), encoding="utf-8")


def _write_pdf(place: Path, paragraphs: list[str]) -> None:
    lines = [line for paragraph in paragraphs for line in (*_lines(paragraph), "")]
    pages = [lines[first : first + 50] for first in range(0, len(lines), 50)]
    place.with_suffix(".pdf").write_bytes(small_pdf(pages))


def _write_word(place: Path, paragraphs: list[str]) -> None:
    import docx

    document = docx.Document()
    document.add_heading(place.name)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    document.save(str(place.with_suffix(".docx")))


_WRITERS = (_write_text, _write_markdown, _write_pdf, _write_word)


def _lines(paragraph: str) -> list[str]:
    words, lines = paragraph.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 85:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def dropped_pdf(n: int) -> tuple[bytes, str, str]:
    """(the file, a word that stands only there, the query for the meaning of one of its sentences)."""
    sentence, query = TOPICS[n % len(TOPICS)]
    word, choice = f"dropword{n:03d}", random.Random(1000 + n)
    sentences, pages, told = office_sentences(choice), [], []
    for page in range(1, PAGES + 1):
        body = [sentence] * PAGE_SENTENCES if page == TOPIC_PAGE else [next(sentences) for _ in range(PAGE_SENTENCES)]
        told += [word, *body]
        pages.append(_lines(f"{word} page {page}. " + " ".join(body)))
    shared = _stems(query) & _stems(" ".join(told))
    assert not shared, f"topic {n}: the query shares {shared} with the file"
    return small_pdf(pages), word, query


def _stems(text: str) -> set[str]:
    """The first five letters of each word of four and more: what the index takes for one word, and more."""
    return {word[:5] for word in WORDS.findall(text.casefold()) if len(word) > 3}
