"""Events and stored answers to HTML: what is shown, and that nothing of a document is ever read as markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from ingest.events import Activity
from models.interfaces import Engine
from rag.conversations import ConversationInfo
from rag.events import Answer, Citation, Cited, Done, EngineLost, Failed, Passage, Retrieved, Stage, Token
from rag.sources import Source
from rag.status import CollectionStatus, FileStatus
from web.markup import marked, quoted, written
from web.render import duration, render_conversations, render_turn, render_turns
from web.render_documents import render_documents, render_problem
from web.render_source import render_source
from web.turn import Turn, of_answer

EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>${alert(3)}{{4}}"
OUR_TAGS = {
    *("article", "section", "header", "footer", "div", "span", "p", "h2", "h3", "h4", "ol", "ul", "li", "button"),
    *("details", "summary", "figure", "img", "mark", "time", "progress", "strong", "em", "code", "pre", "br"),
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
    file = FileStatus(f"{EVIL}/{EVIL}", EVIL, 1, 2, 3, 4, EVIL, 1)
    activity = Activity("default", EVIL, "reading", EVIL, 1, 2, 0, 0, 1.0, None)
    status = CollectionStatus("default", (EVIL,), (file,), {}, activity, 0.0)
    source = Source(a_citation(file=EVIL, part=EVIL), EVIL, ((2, 9),), (), False, EVIL, EVIL)
    for html in (
        render_documents(status),
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


def test_files_that_need_a_person_come_first_with_their_reason() -> None:
    files = (
        FileStatus("a/fine.pdf", "indexed", 3, 3, 9, 100, None, 1),
        FileStatus("b/scan.pdf", "partial", 1, 4, 3, 50, "pages 2–4 hold no text", 1),
    )
    tags = Tags(render_documents(CollectionStatus("default", ("/docs",), files, {}, None, 0.0)))
    assert [row["data-state"] for row in tags.named("lx-file")] == ["partial", "indexed"]
    assert "pages 2–4 hold no text" in tags.text
    assert "1 of 4 pages" in tags.text
    assert "2 of 2 files ready · 4 pages" in tags.text


def test_progress_counts_what_is_further_from_the_end_and_tells_the_time_left() -> None:
    activity = Activity("default", "/docs", "embedding", "a.pdf", 3, 5, 25, 100, 9.0, 27.4)
    html = render_documents(CollectionStatus("default", ("/docs",), (), {}, activity, 0.0))
    assert next(attributes for tag, attributes in Tags(html).seen if tag == "progress")["value"] == "25"
    assert "3 of 5 files" in html
    assert "about 27 s left" in html
    reading = Activity("default", "/docs", "reading", "a.pdf", 1, 5, 100, 100, 9.0, None)
    html = render_documents(CollectionStatus("default", ("/docs",), (), {}, reading, 0.0))
    assert next(attributes for tag, attributes in Tags(html).seen if tag == "progress")["value"] == "1"


def test_a_collection_without_documents_says_what_to_do() -> None:
    assert "Type the path of a folder" in render_documents(CollectionStatus("default", (), (), {}, None, 0.0))


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
