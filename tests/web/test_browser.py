"""The page in a real browser: asks, sees the answer grow, opens a citation, stops, and never leaves this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from models.cancellation import CancelToken
from rag.appliance import Appliance
from rag.events import Answer, Citation, Cited, Done, Event, Failed, Retrieved, Stage, Token
from rag.sources import Source
from rag.status import CollectionStatus, FileStatus, QueueStatus
from tests.web.conftest import running
from web.server import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

QUESTION = "What is balance billing and how does the Northwind Standard plan protect against it?"
EVIL = "<img src=x onerror=document.title='owned'>.md"
WAIT_MS = 30_000


class Watched:
    """A page, with whatever it complained of and wherever it went."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str | None] = set()
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname))
        page.goto(url)
        page.wait_for_selector(".lx-question textarea", timeout=WAIT_MS)
        page.wait_for_selector("#lx-running[aria-live]", state="attached", timeout=WAIT_MS)

    def ask(self, question: str) -> None:
        self.page.locator(".lx-question textarea").fill(question)
        self.page.keyboard.press("Enter")

    def assert_quiet(self) -> None:
        assert self.complaints == []
        assert self.hosts == {"127.0.0.1"}


def open_page(browser: Browser, server: WebServer) -> Watched:
    return Watched(browser.new_page(viewport={"width": 1440, "height": 900}), server.url)


def test_a_question_is_answered_with_a_citation_that_opens_its_page(browser: Browser, server: WebServer) -> None:
    watched = open_page(browser, server)
    page = watched.page
    page.wait_for_selector(".lx-file", timeout=WAIT_MS)
    watched.ask(QUESTION)
    page.wait_for_selector("#lx-turns .lx-citation", timeout=WAIT_MS)
    page.locator("#lx-turns .lx-citation[data-n='1']").first.click()
    page.wait_for_selector(".lx-source .lx-highlight", timeout=WAIT_MS)
    assert "Northwind_Standard_Benefits_Details.pdf, page " in page.locator(".lx-source-page").inner_text()
    page.wait_for_function("document.querySelector('.lx-picture img')?.naturalWidth > 0", timeout=WAIT_MS)
    page.keyboard.press("Escape")
    assert not page.locator(".lx-source").is_visible()
    assert page.evaluate("document.activeElement.className").startswith("lx-citation")
    watched.assert_quiet()
    page.close()


def test_a_reload_shows_the_conversation_again_and_a_new_one_begins_empty(browser: Browser, server: WebServer) -> None:
    watched = open_page(browser, server)
    page = watched.page
    watched.ask(QUESTION)
    page.wait_for_selector("#lx-turns .lx-answer", timeout=WAIT_MS)
    page.wait_for_url("**/?conversation=*")
    said = page.locator("#lx-turns .lx-text").inner_text()
    page.reload()
    page.wait_for_selector("#lx-turns .lx-answer", timeout=WAIT_MS)
    assert page.locator("#lx-turns .lx-text").inner_text() == said
    page.locator("#lx-new").click()
    page.wait_for_selector(".lx-welcome", timeout=WAIT_MS)
    assert page.locator(".lx-answer").count() == 0
    page.locator(".lx-conversation").first.click()
    page.wait_for_selector("#lx-turns .lx-answer", timeout=WAIT_MS)
    watched.assert_quiet()
    page.close()


def test_a_folder_that_does_not_exist_is_said_beside_the_field(browser: Browser, server: WebServer) -> None:
    watched = open_page(browser, server)
    watched.page.locator("#lx-add textarea, #lx-add input").first.fill("/no/such/<b>folder</b>")
    watched.page.locator("#lx-add-button").click()
    watched.page.wait_for_selector(".lx-problem", timeout=WAIT_MS)
    assert "/no/such/<b>folder</b>" in watched.page.locator(".lx-problem").inner_text()
    watched.assert_quiet()
    watched.page.close()


def test_a_file_opens_beside_the_conversation_and_says_what_was_read(browser: Browser, server: WebServer) -> None:
    watched = open_page(browser, server)
    page = watched.page
    page.wait_for_selector(".lx-file", timeout=WAIT_MS)
    page.locator("#lx-filter textarea, #lx-filter input").first.fill("welcome")
    page.wait_for_function("document.querySelectorAll('.lx-file').length === 1", timeout=WAIT_MS)
    page.locator(".lx-file-open").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".lx-why", timeout=WAIT_MS)
    assert page.locator(".lx-source-page").inner_text() == "sample/welcome.md"
    assert "of it are searched" in page.locator(".lx-why").inner_text()
    assert page.locator(".lx-read section").count() > 0
    page.keyboard.press("Escape")
    assert not page.locator(".lx-source").is_visible()
    assert "welcome.md" in page.evaluate("document.activeElement.dataset.file")
    watched.assert_quiet()
    page.close()


class Slow:
    """The real appliance, but for an answer that grows as slowly as the test lets it, from a hostile file."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance
        self.go_on = threading.Event()
        self.cancelled = threading.Event()
        self.citation = Citation("evil", 1, EVIL, None, None, "Wear a <b>badge</b>.", 1, 1, True)

        self.acts: list[object] = []
        self.paused = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._appliance, name)

    def pause(self, paused: bool, **_: object) -> None:
        self.paused = paused
        self.acts.append(paused)

    def retry(self, path: str | None = None, **_: object) -> list[str]:
        self.acts.append(path)
        return []

    def status(self, **_: object) -> CollectionStatus:
        file = FileStatus(EVIL, "failed", 1, 2, 1, 20, EVIL, 1, "/docs", 9)
        queue = QueueStatus(waiting=1, paused=self.paused)
        totals = {"files": 1, "failed": 1}
        return CollectionStatus("default", (EVIL,), (file,), totals, None, 0.0, queue=queue, matching=1)

    def source(self, *_: object, **__: object) -> Source:
        return Source(self.citation, "Rule: Wear a <b>badge</b>.", ((6, 26),), (), False, EVIL, EVIL)

    def conversation(self, *_: object, **__: object) -> list[Answer]:
        quote = f"“{self.citation.quote}” {EVIL} [1]"
        answer = Answer(EVIL, quote, "quote", False, 0.9, (self.citation,), (), "quote", {"total": 1.0})
        return [answer, replace(answer, mode="generate", refused=True)]

    def answer(self, question: str, *, cancel: CancelToken, **_: object) -> Iterator[Event]:
        yield Stage("retrieve", EVIL)
        yield Retrieved(())
        yield Token("First")
        for _ in range(3000):  # far longer than any wait of the tests, however busy the machine is
            if cancel.wait(0.1):
                self.cancelled.set()
                yield Failed("cancelled", "Stopped.")
                return
            if self.go_on.is_set():
                break
        yield Token(" second [1]")
        yield Cited(self.citation)
        yield Done(Answer(question, "First second [1]", "quote", False, 0.9, (self.citation,), (), "quote"))


@pytest.fixture
def slow(appliance: Appliance, serve: Callable[[object], WebServer]) -> tuple[Slow, WebServer]:
    slow = Slow(appliance)
    return slow, serve(slow)


def test_an_answer_grows_and_stop_ends_it(browser: Browser, slow: tuple[Slow, WebServer]) -> None:
    appliance, server = slow
    watched = open_page(browser, server)
    page = watched.page
    watched.ask("x")
    page.wait_for_selector("#lx-running .lx-text >> text=First", timeout=WAIT_MS)
    assert "second" not in page.locator("#lx-running").inner_text()
    page.locator(".lx-stop").click()
    page.wait_for_selector("#lx-running .lx-stopped", timeout=WAIT_MS)
    assert appliance.cancelled.is_set()
    assert "First" in page.locator("#lx-running .lx-text").inner_text()
    page.wait_for_selector(".lx-send", timeout=WAIT_MS)
    appliance.go_on.set()
    page.locator("#lx-running .lx-retry").click()
    page.wait_for_selector("#lx-turns .lx-answer", timeout=WAIT_MS)
    watched.assert_quiet()
    page.close()


def test_two_tabs_are_answered_at_once_and_a_closed_tab_stops_its_own(
    browser: Browser, slow: tuple[Slow, WebServer]
) -> None:
    appliance, server = slow
    tabs = [open_page(browser, server), open_page(browser, server)]
    for watched in tabs:
        watched.ask("x")
    for watched in tabs:
        watched.page.wait_for_selector("#lx-running .lx-text >> text=First", timeout=WAIT_MS)
    tabs[0].page.close()
    assert appliance.cancelled.wait(10)
    appliance.go_on.set()
    tabs[1].page.wait_for_selector("#lx-turns .lx-answer", timeout=WAIT_MS)
    tabs[1].page.close()


def test_reading_is_paused_resumed_and_tried_again_from_the_page(
    browser: Browser, slow: tuple[Slow, WebServer]
) -> None:
    appliance, server = slow
    watched = open_page(browser, server)
    page = watched.page
    page.locator("[data-act=pause]").click()
    page.locator("[data-act=resume]").click()
    page.wait_for_selector("[data-act=pause]", timeout=WAIT_MS)
    page.locator(".lx-file [data-act=retry]").click()
    page.locator(".lx-acts [data-act=retry]").click()
    for _ in range(WAIT_MS // 100):
        if len(appliance.acts) == 4:
            break
        page.wait_for_timeout(100)
    assert appliance.acts == [True, False, f"/docs/{EVIL}", None]
    assert not page.locator(".lx-source").is_visible()
    watched.assert_quiet()
    page.close()


def test_hostile_names_and_text_are_shown_and_never_run(browser: Browser, slow: tuple[Slow, WebServer]) -> None:
    appliance, server = slow
    appliance.go_on.set()
    watched = open_page(browser, server)
    page = watched.page
    page.wait_for_selector(".lx-file", timeout=WAIT_MS)
    assert EVIL in page.locator(".lx-file").inner_text()
    watched.ask(EVIL)
    page.wait_for_selector("#lx-turns .lx-citation", timeout=WAIT_MS)
    page.locator("#lx-turns .lx-citation").first.click()
    page.wait_for_selector(".lx-source mark.lx-highlight", timeout=WAIT_MS)
    assert page.locator(".lx-source-page").inner_text() == EVIL
    assert page.locator(".lx-source mark").inner_text() == "Wear a <b>badge</b>."
    assert page.title() == "Lectern"
    assert page.locator("#lx-shell img").count() == 0
    watched.assert_quiet()
    page.close()


def test_a_narrow_window_keeps_documents_and_sources_within_reach(browser: Browser, server: WebServer) -> None:
    watched = open_page(browser, server)
    page = watched.page
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_selector(".lx-scope", state="hidden", timeout=WAIT_MS)
    page.locator(".lx-open-left").click()
    page.wait_for_selector(".lx-scope", timeout=WAIT_MS)
    page.keyboard.press("Escape")
    page.wait_for_selector(".lx-scope", state="hidden", timeout=WAIT_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    watched.assert_quiet()
    page.close()


def test_a_page_says_that_the_server_is_gone_and_comes_back_with_what_was_typed(
    browser: Browser, appliance: Appliance
) -> None:
    with running(appliance) as first:
        page = open_page(browser, first).page
        page.wait_for_selector(".lx-standing", timeout=WAIT_MS)
        page.locator(".lx-question textarea").fill("half a question")
    page.wait_for_selector(".lx-gone >> text=does not answer", timeout=WAIT_MS)
    page.wait_for_selector(".lx-standing", state="hidden", timeout=WAIT_MS)
    with running(appliance, first.port):
        page.wait_for_selector(".lx-standing", timeout=WAIT_MS)
        assert page.locator(".lx-question textarea").input_value() == "half a question"
        assert page.locator(".lx-gone").inner_text() == ""
        page.close()
