"""Events and stored answers to HTML: what is shown, and that nothing of a document is ever read as markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from indexes.contents import StoredElement
from ingest.events import Activity
from models.interfaces import Engine
from rag.conversations import ConversationInfo
from rag.events import Answer, Citation, Cited, Done, EngineLost, Failed, Passage, Retrieved, Stage, Token
from rag.lookup import FileReport
from rag.sources import Source
from rag.status import CollectionStatus, FileStatus, FolderStatus, QueueStatus, Waiting, Wanted
from web.markup import marked, quoted, written
from web.render import duration, render_conversations, render_turn, render_turns
from web.render_documents import render_documents, render_files, render_problem
from web.render_file import CHARACTERS_SHOWN, render_file
from web.render_source import render_source
from web.turn import Turn, of_answer

EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>${alert(3)}{{4}}"
OUR_TAGS = {
    *("article", "section", "header", "footer", "div", "span", "p", "h2", "h3", "h4", "ol", "ul", "li", "button"),
    *(
        "h5",
        "table",
        "tr",
        "td",
        "b",
        "details",
        "summary",
        "figure",
        "img",
        "mark",
        "time",
        "progress",
        "strong",
        "em",
        "code",
        "pre",
        "br",
    ),
}


class Tags(HTMLParser):
    """Every tag and attribute of a piece of HTML, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, css_class: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.seen if css_class in (attributes.get("class") or "").split()]


def assert_harmless(html: str) -> None:
    for tag, attributes in Tags(html).seen:
        assert tag in OUR_TAGS
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("src") or "ui/page/").startswith("ui/page/")
        assert "href" not in attributes


def a_citation(n: int = 1, **changes: object) -> Citation:
    values: dict[str, object] = {
        "id": f"c{n}",
        "n": n,
        "file": "handbook.pdf",
        "part": None,
        "page": 3,
        "quote": "Leave is twenty days.",
        "chunk_id": 7,
        "version": 1,
        "verified": True,
    }
    return Citation(**(values | changes))  # type: ignore[arg-type]  # a test's shorthand


def a_passage(**changes: object) -> Passage:
    values: dict[str, object] = {
        "file": "handbook.pdf",
        "part": None,
        "page": 3,
        "page_end": 3,
        "text": "Leave is twenty days.",
        "score": 0.9,
        "chunk_id": 7,
        "document_id": 1,
        "version": 1,
        "heading": "Leave",
    }
    return Passage(**(values | changes))  # type: ignore[arg-type]  # a test's shorthand


def an_answer(**changes: object) -> Answer:
    values: dict[str, object] = {
        "question": "How much leave?",
        "text": "“Leave is twenty days.” [1]",
        "mode": "quote",
        "refused": False,
        "confidence": 0.9,
        "citations": (a_citation(),),
        "passages": (a_passage(),),
        "model": "quote",
        "timings_ms": {"dense": 8.0, "select": 20.0, "total": 31.0},
    }
    return Answer(**(values | changes))  # type: ignore[arg-type]  # a test's shorthand


def test_an_answer_shows_its_text_with_a_button_for_each_citation() -> None:
    html = render_turn(of_answer(an_answer()))
    tags = Tags(html)
    [button] = tags.named("lx-citation")
    assert (button["data-n"], button["data-citation"]) == ("1", "c1")
    assert button["aria-label"] == "Source 1: handbook.pdf, page 3"
    assert len(tags.named("lx-answer")) == 1
    assert "“Leave is twenty days.”" in tags.text


def test_a_marker_without_a_citation_is_not_clickable() -> None:
    html = quoted("“Leave is twenty days.” [1]\n\n“It is paid.” [2]", [a_citation(1)])
    assert len(Tags(html).named("lx-citation")) == 1
    assert '<span class="lx-marker">2</span>' in html


def test_an_unverified_citation_says_so() -> None:
    html = render_turn(of_answer(an_answer(citations=(a_citation(verified=False),))))
    assert Tags(html).named("lx-unverified")
    assert "quote not found" in html


def test_a_refusal_looks_different_and_shows_the_closest_passages() -> None:
    refused = an_answer(refused=True, text="Not in the documents.", citations=(), passages=(a_passage(page=9),))
    tags = Tags(render_turn(of_answer(refused)))
    assert tags.named("lx-refused")
    assert "Closest passages" in tags.text
    assert "handbook.pdf, page 9" in tags.text


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (Engine("llama.cpp", "SmolLM2", "127.0.0.1", "local"), "Written by SmolLM2 on this machine"),
        (Engine("office-nim", "llama", "10.0.0.5", "self-hosted"), "Written by office-nim at 10.0.0.5 (self-hosted)"),
        (Engine(EVIL, EVIL, EVIL, "remote"), "Written by <img src=x"),
    ],
)
def test_a_written_answer_says_which_engine_wrote_it_and_where(engine: Engine, said: str) -> None:
    html = render_turn(of_answer(an_answer(mode="generate", model=engine.model, engine=engine)))
    assert said in Tags(html).text
    assert_harmless(html)
    assert not Tags(render_turn(of_answer(an_answer()))).named("lx-writer")


def test_the_loss_of_an_engine_is_told_at_once() -> None:
    turn = Turn("How much leave?").after(EngineLost(f"{EVIL} broke off.", "engine"), 1.0)
    html = render_turn(turn)
    [told] = Tags(html).named("lx-lost")
    assert told["role"] == "status"
    assert "broke off." in Tags(html).text
    assert_harmless(html)


def test_a_turn_is_built_event_by_event_and_ends_like_the_stored_answer() -> None:
    turn = Turn("How much leave?", running_since_s=0.0)
    answer = an_answer()
    steps = [
        Stage("retrieve", "leave"),
        Retrieved(answer.passages),
        Stage("quote"),
        Token("“Leave is "),
        Token("twenty"),
    ]
    for second, event in enumerate(steps):
        turn = turn.after(event, float(second))
    assert turn.running
    assert (turn.text, turn.steps[0].took_ms, turn.steps[1].took_ms) == ("“Leave is twenty", 2000.0, None)
    assert "lx-is-running" in render_turn(turn)
    turn = turn.after(Cited(answer.citations[0]), 5.0).after(Done(answer), 6.0)
    assert not turn.running
    assert turn.text == answer.text
    assert [step.took_ms for step in turn.steps] == [2000.0, 4000.0]


@pytest.mark.parametrize(("code", "css_class"), [("cancelled", "lx-stopped"), ("engine_unavailable", "lx-failed")])
def test_what_was_said_before_a_failure_stays_and_can_be_asked_again(code: str, css_class: str) -> None:
    turn = Turn("How much leave?").after(Token("Leave is"), 1.0).after(Failed(code, "no engine"), 2.0)
    tags = Tags(render_turn(turn))
    assert tags.named(css_class)
    assert tags.named("lx-retry")
    assert "Leave is" in tags.text


def test_a_models_markdown_is_formatted_and_its_links_images_and_html_are_not() -> None:
    links = "![x](https://evil.example/p.png) [y](https://evil.example) <b>z</b>"
    text = f"**Yes**, see:\n\n- one [1]\n- two\n\n`a[1]` {links}"
    html = written(text, [a_citation()])
    assert "<strong>Yes</strong>" in html
    assert "<code>a[1]</code>" in html
    assert [tag for tag, _ in Tags(html).seen].count("li") == 2
    assert len(Tags(html).named("lx-citation")) == 1
    assert_harmless(html)
    assert "<b>" not in html


def test_a_quote_is_shown_letter_for_letter() -> None:
    text = "* not a list\n# not a heading **not bold** `not code` <i>not markup</i>"
    assert Tags(quoted(text, [])).text == text


def test_nothing_in_a_document_becomes_markup_in_an_answer() -> None:
    citation = a_citation(file=EVIL, part=EVIL, quote=EVIL, id=EVIL)
    answer = an_answer(
        question=EVIL,
        text=f"{EVIL} [1]",
        citations=(citation,),
        passages=(a_passage(file=EVIL, text=EVIL, heading=EVIL),),
        notes=(EVIL,),
        model=EVIL,
        timings_ms={EVIL: 1.0},
    )
    for refused in (False, True):
        for mode in ("quote", "generate"):
            html = render_turns([Answer(**(vars(answer) | {"mode": mode, "refused": refused}))], EVIL)
            assert_harmless(html)
            assert not [attributes for tag, attributes in Tags(html).seen if tag == "img"]
    running = Turn(EVIL).after(Stage(EVIL, EVIL), 0.0).after(Token(EVIL), 0.0)
    assert_harmless(render_turn(running))
    assert_harmless(render_turn(running.after(Failed("x", EVIL), 1.0)))


def test_nothing_in_a_document_becomes_markup_elsewhere_on_the_page() -> None:
    waiting = Waiting("retrying", 1.0, 1, EVIL, 2.0, EVIL)
    file = FileStatus(f"{EVIL}/{EVIL}", EVIL, 1, 2, 3, 4, EVIL, 1, EVIL, 9, waiting)
    failed = FileStatus(EVIL, "failed", 1, 2, 3, 4, EVIL, 1, EVIL)
    activity = Activity("default", EVIL, "reading", EVIL, 1, 2, 0, 0, 1.0, None)
    folder = FolderStatus(EVIL, EVIL, EVIL, (EVIL,), 1, 1.0, 1.0)
    status = CollectionStatus(EVIL, (EVIL,), (file, failed), {"files": 2}, activity, 0.0, folder_states=(folder,))
    kinds = ("title", "paragraph", "table", "code", "picture")
    elements = tuple(StoredElement(kind, f"{EVIL} | {EVIL}", 1, EVIL, 0.5) for kind in kinds)
    report = FileReport(
        EVIL, EVIL, EVIL, EVIL, 1, True, (EVIL, f"`{EVIL}`"), omissions=((EVIL, EVIL),), elements=elements
    )
    source = Source(a_citation(file=EVIL, part=EVIL), EVIL, ((2, 9),), (), False, EVIL, EVIL)
    for html in (
        render_documents(status),
        render_files(status, Wanted(state=None, name=EVIL)),
        render_file(report),
        render_source(source),
        render_conversations([ConversationInfo(EVIL, EVIL, 0.0)], EVIL),
        render_problem(EVIL),
    ):
        assert_harmless(html)
        assert "onerror=alert(1)" in Tags(html).text


def test_marking_keeps_every_letter_and_tolerates_wrong_spans() -> None:
    text = "a < b & c > d"
    html = marked(text, [(4, 9), (0, 3), (8, 99), (5, 5), (50, 60)])
    assert Tags(html).text == text
    assert re.findall(r"<mark[^>]*>(.*?)</mark>", html) == ["a &lt;", "b &amp; c", " &gt; d"]


def test_a_source_with_a_picture_shows_the_quotes_rectangles_in_shares_of_the_page() -> None:
    source = Source(a_citation(), "Leave is twenty days.", ((0, 21),), ((0.1, 0.2, 0.6, 0.25),), True, "Leave", None)
    tags = Tags(render_source(source))
    box = next(attributes for tag, attributes in tags.seen if tag == "span")
    assert box == {"class": "lx-highlight", "style": "left:10.0000%;top:20.0000%;width:50.0000%;height:5.0000%"}
    assert next(attributes for tag, attributes in tags.seen if tag == "img")["src"] == "ui/page/c1.png"
    assert "handbook.pdf, page 3" in tags.text


def test_a_changed_file_is_said_above_its_source() -> None:
    source = Source(a_citation(), "text", (), (), False, "", "The file has changed since this answer.")
    assert "The file has changed since this answer." in Tags(render_source(source)).text


def a_status(**changes: object) -> CollectionStatus:
    """A collection of one folder that is followed, with two files, in step with the disk."""
    files = (
        FileStatus("b/scan.pdf", "partial", 1, 4, 3, 50, "pages 2–4 hold no text", 1, "/docs"),
        FileStatus("a/fine.pdf", "indexed", 3, 3, 9, 100, None, 1, "/docs"),
    )
    totals = {"files": 2, "indexed": 1, "partial": 1, "pages_indexed": 4, "pages_total": 7}
    fields: dict[str, object] = {
        "collection": "default",
        "folders": ("/docs",),
        "files": files,
        "totals": totals,
        "activity": None,
        "lag_s": 0.0,
        "folder_states": (FolderStatus("/docs", "watching", None, (), 0, 5.0, 0.0),),
        "matching": 2,
    }
    return CollectionStatus(**(fields | changes))  # type: ignore[arg-type]  # by name


def test_each_file_is_a_row_with_its_pages_and_the_reason_for_the_rest() -> None:
    tags = Tags(render_files(a_status(), Wanted(9)))
    assert [row["data-state"] for row in tags.named("lx-file")] == ["partial", "indexed"]
    assert [button["data-file"] for button in tags.named("lx-file-open")] == ["/docs/b/scan.pdf", "/docs/a/fine.pdf"]
    assert "pages 2–4 hold no text" in tags.text
    assert "1 of 4 pages" in tags.text


def test_a_file_that_failed_can_be_tried_again_one_by_one_or_all_at_once() -> None:
    files = (FileStatus("a.pdf", "quarantined", 0, 0, 0, 0, "it took too long", None, "/docs", 9),)
    status = a_status(files=files, totals={"files": 1, "quarantined": 1}, matching=1)
    (one,) = Tags(render_files(status, Wanted(9))).named("lx-act")
    assert (one["data-act"], one["data-path"]) == ("retry", "/docs/a.pdf")
    every, _ = Tags(render_documents(status)).named("lx-act")
    assert (every["data-act"], every.get("data-path")) == ("retry", None)


def test_a_file_that_holds_nothing_is_called_empty_and_there_is_nothing_to_retry() -> None:
    files = (FileStatus("a.txt", "failed", 0, 0, 0, 0, "a.txt is empty (0 bytes)", None, "/docs", 0),)
    status = a_status(files=files, totals={"files": 1, "failed": 1, "empty": 1}, matching=1)
    tags = Tags(render_files(status, Wanted(9)))
    assert tags.named("lx-file")[0]["data-state"] == "skipped"
    assert tags.named("lx-act") == []
    assert "could not be read" not in tags.text
    assert "Retry" not in Tags(render_documents(status)).text


def test_files_of_one_path_are_shown_with_their_folders() -> None:
    files = tuple(FileStatus("a.txt", "indexed", 1, 1, 1, 1, None, 1, folder, 9) for folder in ("/one", "/two"))
    text = Tags(render_files(a_status(files=files), Wanted(9))).text
    assert "/one/a.txt" in text
    assert "/two/a.txt" in text


def test_a_folder_can_be_taken_out_after_a_question() -> None:
    (button,) = Tags(render_documents(a_status())).named("lx-act")
    assert (button["data-act"], button["data-path"]) == ("forget", "/docs")
    assert "not touched" in (button["data-sure"] or "")


def test_a_page_within_another_file_says_why_it_has_no_picture_and_names_its_part_once() -> None:
    citation = a_citation(file="all.zip", part="in/memo.pdf", page=2)
    html = render_source(Source(citation, "text", (), (), False, "in/memo.pdf › Leave", None))
    text = Tags(html).text
    assert text.count("in/memo.pdf") == 1
    assert "Leave" in text
    assert "without a picture" in text


def test_files_are_chosen_by_state_with_their_counts_and_what_is_not_shown_is_counted() -> None:
    status = a_status(queue=QueueStatus(waiting=3), matching=402)
    tags = Tags(render_files(status, Wanted(2, state="waiting")))
    chips = {chip["data-state"]: chip["aria-pressed"] for chip in tags.named("lx-chip")}
    assert chips == {"": "false", "waiting": "true", "partial": "false", "indexed": "false"}
    assert "waiting 3" in tags.text
    assert "and 400 more files: filter by name" in tags.text


def test_whoever_filters_for_a_file_that_is_not_listed_can_ask_why() -> None:
    tags = Tags(render_files(a_status(files=(), matching=0), Wanted(9, name="drafts/<b>.txt")))
    assert [button["data-file"] for button in tags.named("lx-act")] == ["drafts/<b>.txt"]
    assert not Tags(render_files(a_status(files=(), matching=0), Wanted(9, state="failed"))).named("lx-act")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "In step with the disk"),
        ({"lag_s": 12.3, "queue": QueueStatus(waiting=1)}, "12 s behind the disk"),
        ({"queue": QueueStatus(waiting=1, paused=True)}, "Paused · 1 file waiting"),
        ({"folder_states": (FolderStatus("/usb", "missing", None, (), 0, 5.0, 5.0),)}, "/usb is missing"),
        (
            {"folder_states": (FolderStatus("/a", "watching", "The rule '[' cannot be used.", (), 0, 5.0, 5.0, True),)},
            "/a: The rule '[' cannot be used.",
        ),
        (
            {"folder_states": (FolderStatus("/a", "not followed", None, (), 0, 400.0, 400.0),)},
            "with the disk 7 min ago",
        ),
    ],
)
def test_the_panel_says_how_the_index_stands_to_the_disk(changes: dict[str, object], said: str) -> None:
    assert said in Tags(render_documents(a_status(**changes))).text


def test_what_runs_can_be_paused_and_what_is_paused_resumed() -> None:
    def acts(**changes: object) -> list[str | None]:
        return [button["data-act"] for button in Tags(render_documents(a_status(**changes))).named("lx-act")]

    assert acts() == ["forget"]
    assert acts(queue=QueueStatus(waiting=1)) == ["pause", "forget"]
    assert acts(queue=QueueStatus(waiting=1, paused=True)) == ["resume", "forget"]


def test_progress_counts_what_is_further_from_the_end_and_tells_the_time_left() -> None:
    activity = Activity(
        "default", "/docs", "embedding", "a.pdf", 3, 5, 25, 100, 9.0, 27.4, 1 << 20, 3 << 20, 9, 0.5, 8.5
    )
    html = render_documents(a_status(activity=activity))
    assert next(attributes for tag, attributes in Tags(html).seen if tag == "progress")["value"] == "25"
    for said in ("3 of 5 files", "about 27 s left", "8.5 pages/s", "1.0 of 3.0 MB", "a.pdf"):
        assert said in html
    reading = Activity("default", "/docs", "reading", "a.pdf", 1, 5, 100, 100, 9.0, None, 512, 2048)
    assert "0.5 of 2.0 KB" in render_documents(a_status(activity=reading))
    html = render_documents(a_status(activity=reading))
    assert next(attributes for tag, attributes in Tags(html).seen if tag == "progress")["value"] == "1"


def test_a_collection_without_documents_says_what_to_do() -> None:
    empty = CollectionStatus("default", (), (), {}, None, 0.0)
    assert "Type the path of a folder" in render_documents(empty)
    assert render_files(empty, Wanted()) == ""


def test_what_was_read_of_a_file_is_shown_by_page_with_tables_as_tables_and_doubt_said() -> None:
    elements = (
        StoredElement("heading", "Prices", 1, None),
        StoredElement("table", "item | price\nlens | 48", 1, None),
        StoredElement("paragraph", "faint words", 2, None, 0.61),
    )
    report = FileReport("a.pdf", "/docs", "indexed", None, 2, True, ("2 passages.",), 2, 2, 2, 2, 30, (), elements)
    html = render_file(report)
    assert "<tr><td>lens</td><td>48</td></tr>" in html
    text = Tags(html).text
    for said in ("page 1", "page 2 · recognised in a picture, confidence 61%", "2 passages.", "version 2"):
        assert said in text
    assert Tags(html).named("lx-why")[0]["data-findable"] == "yes"


def test_a_long_file_is_shown_from_its_beginning_and_the_rest_is_counted() -> None:
    elements = tuple(StoredElement("paragraph", "x" * (CHARACTERS_SHOWN // 2), n, None) for n in range(1, 6))
    html = render_file(FileReport("a.pdf", "/docs", "indexed", None, 1, True, (), elements=elements))
    assert len(html) < 2 * CHARACTERS_SHOWN
    assert "The first 2 of 5 pieces are shown." in html


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (8.2, "8 ms"),
        (994.9, "995 ms"),
        (1400, "1.4 s"),
        (125_000, "2 min 5 s"),
        (59_990, "1 min 0 s"),
        (3_725_000, "1 h 2 min"),
    ],
)
def test_durations_are_said_for_people(milliseconds: float, said: str) -> None:
    assert duration(milliseconds) == said


def test_a_documents_own_markers_stay_text() -> None:
    citation = Citation("id", 2, "a.pdf", None, 1, "as Smith [2] says, x[10] = 3.", 1, 1, True)
    html = quoted("“as Smith [2] says, x[10] = 3.” [2]", [citation])
    assert html.count("<button") == 1
    assert "Smith [2] says, x[10] = 3.”" in html
