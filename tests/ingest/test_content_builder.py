"""A content that was half built is gone on with, and comes out as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from indexes.collection import Collection
from indexes.library import Library
from ingest.chunking import Chunker
from ingest.content_builder import ContentBuilder
from ingest.elements import Element, Page, Summary
from ingest.errors import Unreadable
from ingest.formats import Format
from models.cancellation import Cancelled, CancelToken

FORMAT = Format("made", "plain")
PAGES = 80


def page(number: int) -> Page:
    heading = f"Chapter {number // 7}"
    body = " ".join(f"Sentence {i} of page {number} says something." for i in range(1 + number % 9))
    text = f"{heading}\n\n{body}\n\nname | value\nrow {number} | {number}"
    table = len(heading) + len(body) + 4
    return Page(
        number,
        None,
        text,
        (
            Element("heading", 0, len(heading), level=2),
            Element("paragraph", len(heading) + 2, table - 2),
            Element("table", table, len(text), header_end=table + 12),
        ),
    )


class Parser:
    """Pages without a file; ends in the middle when told so. Notes from which page on it was asked."""

    def __init__(self, stop_after: int | None = None, error: Exception | None = None) -> None:
        self._stop_after = stop_after
        self._error = error or Cancelled()
        self.asked: list[int] = []

    def parse(self, *_: object, first_page: int = 0, **__: object) -> Iterator[Page | Summary]:
        self.asked.append(first_page)
        for number in range(first_page, PAGES):
            if number == self._stop_after:
                raise self._error
            yield page(number)
        yield Summary("A title", PAGES)


@pytest.fixture
def collection(library: Library) -> Collection:
    return library.ensure("default", embedder="none", dimension=2)


def words(text: str) -> list[tuple[int, int]]:
    spans, end = [], 0
    for word in text.split():
        start = text.index(word, end)
        end = start + len(word)
        spans.append((start, end))
    return spans


def build(collection: Collection, parser: Parser, sha256: str = "sha") -> int:
    builder = ContentBuilder(collection.contents, parser, Chunker(words, 120))  # type: ignore[arg-type]  # what it uses of a pool
    return builder.content(Path("x"), sha256, "recipe", FORMAT, on_page=lambda: None, cancel=CancelToken())


def stored(collection: Collection, content_id: int) -> tuple[list[object], list[object]]:
    """Pages and chunks, with page ids counted from the first."""
    pages = collection.contents.pages(content_id)
    with collection.database.read() as connection:
        rows = connection.execute(
            "SELECT ordinal, heading, text, tokens, spans FROM chunk WHERE content_id = ? ORDER BY ordinal",
            (content_id,),
        ).fetchall()
    chunks: list[object] = []
    for row in rows:
        text = row["spans"]
        for at, stored_page in enumerate(pages):
            text = text.replace(f"[{stored_page.id},", f"[page {at},")
        chunks.append((row["ordinal"], row["heading"], row["text"], row["tokens"], text))
    return [(one.number, one.text) for one in pages], chunks


@pytest.mark.parametrize("stop_after", [1, 31, 32, 33, 64, 79])
def test_a_build_that_was_stopped_goes_on_and_gives_the_same(collection: Collection, stop_after: int) -> None:
    with pytest.raises(Cancelled):
        build(collection, Parser(stop_after))
    again = Parser()
    content_id = build(collection, again)
    assert again.asked == [stop_after // 32 * 32], "pages are stored 32 at a time"
    whole = build(collection, Parser(), "another")
    assert stored(collection, content_id) == stored(collection, whole)


def test_what_cannot_be_read_leaves_nothing(collection: Collection) -> None:
    with pytest.raises(Unreadable):
        build(collection, Parser(40, Unreadable("damaged in the middle")))
    with collection.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM page").fetchone()[0] == 0


def test_what_is_ready_is_not_read_again(collection: Collection) -> None:
    first = build(collection, Parser())
    parser = Parser()
    assert build(collection, parser) == first
    assert parser.asked == []
