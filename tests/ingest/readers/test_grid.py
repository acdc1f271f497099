"""Grids of cells: which rows are a header, what is a caption or a note, and which rows are one table."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.elements import Page
from ingest.readers.assembly import PageAssembly
from ingest.readers.grid import PAGE_CHARACTERS, add_grid, grid_pages


def grid(text: str) -> list[list[str]]:
    """Rows as lines, cells between strokes."""
    return [[cell.strip() for cell in line.split("|")] for line in text.strip("\n").split("\n")]


def read(rows: list[list[str]]) -> list[tuple[str, str, str]]:
    """(kind, header, the rest) of each element."""
    assembly = PageAssembly()
    add_grid(assembly, rows)
    return told(assembly.page())


def told(page: Page) -> list[tuple[str, str, str]]:
    found = []
    for element in page.elements:
        split = element.header_end or element.start
        found.append((element.kind, page.text[element.start : split], page.text[split : element.end].strip("\n")))
    return found


def header(text: str) -> str:
    (table,) = read(grid(text))
    assert table[0] == "table"
    return table[1]


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("Item|Kept\nbolt|12\nnut|9", "Item | Kept"),
        ("|Sales|Costs\nNorth|12|7\nSouth|9|4", " | Sales | Costs"),
        ("|2019|2020\nRevenue|1,250|1,400\nCosts|900|950", " | 2019 | 2020"),
        ("Team|1|2|3|Total\nLions|14|7|0|21\nBears|3|3|3|9", "Team | 1 | 2 | 3 | Total"),
        ("Name|Role\nAnn|Captain\nBob|Cook", "Name | Role"),
        ("Q1 2019|Q2 2019\n17|18\n19|20", "Q1 2019 | Q2 2019"),
        ("Date|Amount|Amount\n2020-01-02|€ 12.50|3\n2020-01-03|(7.10)|4", "Date | Amount | Amount"),
    ],
)
def test_a_row_that_names_the_columns_is_the_header(table: str, names: str) -> None:
    assert header(table) == names


@pytest.mark.parametrize(
    "table",
    [
        "1|2\n3|4",
        "Ann|12 Main Street\nBob|7 Hill Road\nCarl|9 Lake View",
        "yes|no|yes\nno|no|yes\nyes|yes|no",
        "Company:|ACME\nCity:|Rome\nFounded:|1987",
        "Company|ACME\nCity|Rome\nFounded|1987\nEmployees|1,200\nPhone|Ask us",
        "1990|1991\n1992|1993",
        "bolt|12\nnut|9",
    ],
)
def test_a_first_row_like_the_others_names_nothing(table: str) -> None:
    assert header(table) == ""


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (
            "Club|Season|League|League|Cup|Cup\nClub|Season|Apps|Goals|Apps|Goals\nLions|2013|28|2|3|0\nLions|2014|9|1|2|2",
            "Club | Season | League Apps | League Goals | Cup Apps | Cup Goals",
        ),
        ("||League||Cup|\nClub|Year|Apps|Goals|Apps|Goals\nLions|2013|28|2|3|0\nLions|2014|28|2|3|0",
         "Club | Year | League Apps | League Goals | Cup Apps | Cup Goals"),
        ("|Sales|Sales|Costs|Costs\n|2019|2020|2019|2020\nNorth|1|2|3|4\nSouth|5|6|7|8",
         " | Sales 2019 | Sales 2020 | Costs 2019 | Costs 2020"),
        ("Part|Weight|Length\n|(kg)|(m)\nbeam|12|3\nrod|4|2", "Part | Weight (kg) | Length (m)"),
    ],
)  # fmt: skip
def test_the_rows_of_a_header_are_joined_to_one(table: str, names: str) -> None:
    assert header(table) == names


def test_two_rows_of_words_are_no_header_of_two_rows() -> None:
    (table,) = read(grid("Name||City|\nBob|Smith|Paris|France\nEva|Moor|Rome|Italy"))
    assert table[2] == "Bob | Smith | Paris | France\nEva | Moor | Rome | Italy"


def test_lines_above_a_table_are_its_captions_and_lines_below_it_notes() -> None:
    assert read(grid("Sales by region\nin thousands\n\nRegion|Sum\nNorth|12\nSouth|9\n* without services")) == [
        ("caption", "", "Sales by region"),
        ("caption", "", "in thousands"),
        ("table", "Region | Sum", "North | 12\nSouth | 9"),
        ("paragraph", "", "* without services"),
    ]


def test_a_last_row_with_one_cell_stays_a_row() -> None:
    (table,) = read(grid("Name|Phone\nAnnabel|12\nBob|"))
    assert table[2] == "Annabel | 12\nBob"


def test_lines_without_a_table_are_paragraphs() -> None:
    assert [kind for kind, *_ in read(grid("One\n\nTwo\nThree"))] == ["paragraph"] * 3


def test_a_text_before_a_table_is_no_caption_but_its_last_lines_may_be() -> None:
    lines = "\n\n".join(f"Line {i}" for i in range(9))
    kinds = [kind for kind, *_ in read(grid(f"{lines}\n\nTitle\nA|B\nx|1\ny|2"))]
    assert kinds == ["paragraph"] * 9 + ["caption", "table"]


def test_empty_rows_between_the_groups_of_a_table_do_not_take_its_header() -> None:
    sheet = "Item|2019|2020\n\nCurrent assets\nCash|10|12\nStock|7|8\n\nFixed assets\nLand|90|90\n\nTotal|107|110"
    assert read(grid(sheet)) == [
        (
            "table",
            "Item | 2019 | 2020",
            "Current assets\nCash | 10 | 12\nStock | 7 | 8\nFixed assets\nLand | 90 | 90\nTotal | 107 | 110",
        )
    ]


def test_a_second_table_below_has_a_header_of_its_own() -> None:
    tables = read(grid("Item|Kept\nbolt|12\nnut|9\n\nPerson|Age\nAnn|41\nBob|38"))
    assert [names for _, names, _ in tables] == ["Item | Kept", "Person | Age"]


def test_tables_side_by_side_are_told_one_after_the_other() -> None:
    sheet = "Item|Sum||Person|Age\nbolt|12||Ann|41\nnut|9||Bob|38\nscrew|7||"
    assert read(grid(sheet)) == [
        ("table", "Item | Sum", "bolt | 12\nnut | 9\nscrew | 7"),
        ("table", "Person | Age", "Ann | 41\nBob | 38"),
    ]


def test_an_empty_column_inside_a_table_is_an_ornament() -> None:
    assert header("Item|Code||2019|2020\nCash|A1||10|12\nLand|B2||90|90") == "Item | Code | 2019 | 2020"


def test_pairs_above_a_wide_table_are_a_table_of_their_own() -> None:
    tables = read(grid("Company|ACME||\nPeriod|2020||\nItem|Price|Sum|Tax\nbolt|1|2|3\nnut|4|5|6"))
    assert [(names, rest) for _, names, rest in tables] == [
        ("", "Company | ACME\nPeriod | 2020"),
        ("Item | Price | Sum | Tax", "bolt | 1 | 2 | 3\nnut | 4 | 5 | 6"),
    ]


def test_in_a_very_wide_table_each_cell_says_the_name_of_its_column() -> None:
    names = ["Name", *(f"Measurement number {i} of the year" for i in range(20))]
    (table,) = read([names, ["Ann", *map(str, range(20))], ["Bob", "", "7"]])
    assert table[1] == ""
    assert table[2].split("\n")[1] == "Name: Bob | Measurement number 1 of the year: 7"


def test_a_long_table_goes_over_pages_and_has_its_header_on_each() -> None:
    rows = [["Item", "Kept"], *([f"thing number {i}", str(i)] for i in range(30_000))]
    pages = list(grid_pages(rows, None, "Stock"))
    assert len(pages) > 2
    assert all(len(page.text) < PAGE_CHARACTERS + 100 for page in pages)
    assert all(told(page)[0][1] == "Item | Kept" and page.part == "Stock" for page in pages)
    said = [line for page in pages for line in page.text.split("\n")[1:]]
    assert said == [" | ".join(row) for row in rows[1:]]


cells = st.sampled_from(["", "", "a", "Total", "x y", "2019", "12", "1.5", "2020-01-02", "(kg)", "A1", "* note"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(cells, max_size=7), max_size=12))
def test_no_cell_is_lost_whatever_the_grid(rows: list[list[str]]) -> None:
    # Numbered, so that each cell is a text of its own; a header's names may be joined, or stand before each value.
    numbered = [[f"{cell} c{i}r{j}" if cell else "" for i, cell in enumerate(row)] for j, row in enumerate(rows)]
    text = "\n".join(f"{names}\n{rest}" for _, names, rest in read(numbered))
    assert all(cell in text for row in numbered for cell in row)
    plain = "\n".join(f"{names}\n{rest}" for _, names, rest in read(rows))
    assert all(cell in plain for row in rows for cell in row)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(cells, max_size=6), max_size=10))
def test_pages_say_what_one_page_says(rows: list[list[str]]) -> None:
    assert [element for page in grid_pages(rows) for element in told(page)] == read(rows)
