"""Tables of PDF pages: found where columns are clear, with their heads, every number under its own, nothing moved."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pypdfium2

from ingest.elements import Element, Page
from ingest.readers.pdf import read
from ingest.readers.pdf_lines import PdfLine, Word
from ingest.readers.pdf_tables import Table, tables
from ingest.task import Task

SIZE, WIDTH = 10.0, 5.0
FILINGS = "eval/financebench/docs"


def line(top: float, *cells: tuple[float, str], bold: bool = False, size: float = SIZE) -> PdfLine:
    """A line whose cells begin at the given places, in letters of one width."""
    words: list[Word] = []
    for left, text in cells:
        for word in text.split():
            right = left + WIDTH * len(word)
            words.append((word, left, right))
            left = right + WIDTH
    text = " ".join(word for word, _, _ in words)
    return PdfLine(text, words[0][1], top, words[-1][2], top + size, size, bold, tuple(words))


def right(edge: float, text: str) -> tuple[float, str]:
    return edge - WIDTH * len(text), text


def rows(table: Table) -> list[str]:
    return [row.text for row in table.rows]


def balance(top: float = 0.0) -> list[PdfLine]:
    return [
        line(top, right(300, "2018"), right(400, "2017")),
        line(top + 12, (20, "Net sales"), right(300, "32,765"), right(400, "31,657")),
        line(top + 24, (20, "Cost of sales and of everything else"), right(300, "16,682"), right(400, "16,055")),
        line(top + 36, (20, "Operating income"), right(300, "7,207"), right(400, "(7)")),
    ]


def test_numbers_under_years_are_a_table_with_a_header() -> None:
    (table,) = tables(balance())
    assert table.header_rows == 1
    assert rows(table) == [
        "| 2018 | 2017",
        "Net sales | 32,765 | 31,657",
        "Cost of sales and of everything else | 16,682 | 16,055",
        "Operating income | 7,207 | (7)",
    ]


def test_a_missing_number_leaves_its_cell_empty() -> None:
    lines = [*balance(), line(48, (20, "Other"), right(400, "12"))]
    (table,) = tables(lines)
    assert rows(table)[-1] == "Other |  | 12"


def test_currency_and_percent_signs_stay_with_their_number() -> None:
    lines = [*balance(), line(48, (20, "Total"), (250, "$"), right(300, "58"), (350, "$"), right(400, "9"), (406, "%"))]
    (table,) = tables(lines)
    assert rows(table)[-1] == "Total | $ 58 | $ 9 %"


def test_heads_read_column_by_column_become_one_row() -> None:
    heads = [
        line(-30, right(320, "December 26,")),
        line(-18, right(305, "2015")),
        line(-30, right(420, "December 27,")),
        line(-18, right(405, "2014")),
    ]
    (table,) = tables([*heads, *balance()[1:]])
    assert table.start == 0
    assert table.header_rows == 1
    assert rows(table)[0] == "| December 26, 2015 | December 27, 2014"


def test_labels_between_rows_stay_in_the_table_and_prose_around_it_outside() -> None:
    prose = [
        line(top, (20, "This is a sentence that goes from the left margin to the right one, as they do"))
        for top in (-40, -28)
    ]
    after = [
        line(top, (20, "And here is another one, which is no longer of the table, as anybody can see."))
        for top in (72, 84)
    ]
    lines = [
        *prose,
        *balance(),
        line(48, (20, "Assets")),
        line(60, (20, "Cash"), right(300, "2"), right(400, "3")),
        *after,
    ]
    (table,) = tables(lines)
    assert (table.start, table.count) == (2, 6)
    assert "Assets" in rows(table)


def test_words_without_numbers_in_columns_are_a_table_and_columns_of_prose_are_not() -> None:
    words = [line(12 * at, (20, f"Agency {name}"), (200, "stable"), (300, name * 3)) for at, name in enumerate("abcd")]
    assert [table.count for table in tables(words)] == [4]
    prose = "some words of a column that are read down and not across"
    assert not list(tables([line(12 * at, (20, prose), (330, prose)) for at in range(9)]))


def test_lists_are_no_tables() -> None:
    assert not list(tables([line(12 * at, (20, "•"), (40, "an item of a list")) for at in range(6)]))
    assert not list(tables([line(12 * at, (20, f"{at}."), (45, "an item of a list")) for at in range(6)]))


def test_rows_hold_every_word_of_their_lines_in_order() -> None:
    lines = balance()
    (table,) = tables(lines)
    found = [word for row in rows(table) for word in row.split() if word != "|"]
    assert found == [word for row in lines for word in row.text.split()]


def excerpt(path: Path, page: int, folder: Path) -> Path:
    """One page as a PDF of its own."""
    target = folder / "excerpt.pdf"
    with closing(pypdfium2.PdfDocument(path)) as source, closing(pypdfium2.PdfDocument.new()) as made:
        made.import_pages(source, [page - 1])
        made.save(target)
    return target


def table_of(page: Page) -> Element:
    (table,) = [element for element in page.elements if element.kind == "table"]
    return table


def test_a_balance_sheet_is_one_table_that_begins_with_its_years(shared: Path, tmp_path: Path) -> None:
    path = excerpt(shared / FILINGS / "3M_2018_10K.pdf", 58, tmp_path)
    page = next(item for item in read(path, Task()) if isinstance(item, Page))
    table = table_of(page)
    head, body = page.text[table.start : table.header_end], page.text[table.header_end : table.end]
    assert head.endswith("| 2018 | 2017")
    assert "\nTotal assets | $ 36,500 | $ 37,987\n" in body


def test_rows_that_pdfium_runs_together_are_parted_and_marked_where_they_stand(shared: Path, tmp_path: Path) -> None:
    path = excerpt(shared / FILINGS / "PFIZER_2021_10K.pdf", 60, tmp_path)
    page = next(item for item in read(path, Task()) if isinstance(item, Page))
    found = {page.text[line.start : line.end]: line for line in page.lines}
    income = next(line for text, line in found.items() if text.startswith("Net income |"))
    balance_row = next(line for text, line in found.items() if text.startswith("Balance, January 1, 2019 |"))
    assert income.top > balance_row.top
    assert income.left < 30
    assert income.bottom - income.top < 10
