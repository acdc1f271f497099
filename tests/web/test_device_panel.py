"""The device panel: what it shows of made-up machines, and that the page paints it anew only while it is open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from models.errors import ModelError
from models.planning.profile import MemoryPart
from rag.conversations import ConversationInfo
from rag.machine import EngineStatus, GpuStatus, MachineStatus
from rag.status import CollectionStatus
from web.handlers import Handlers
from web.render_machine import render_machine
from web.runs import Runs
from web.server import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

GIB = 1 << 30
EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>${alert(3)}{{4}}"
WAIT_MS = 30_000

PARTS = (
    MemoryPart("weights", 9 * GIB),
    MemoryPart("KV cache", 4 * GIB),
    MemoryPart("activations", GIB // 2),
    MemoryPart("CUDA contexts", GIB // 2),
    MemoryPart("embedder", GIB // 2),
    MemoryPart("reranker", GIB // 2),
    MemoryPart("vector index", GIB // 4),
    MemoryPart("head-room", GIB // 2),
    MemoryPart("other programs", GIB // 2),
)
CARD = GpuStatus(0, "NVIDIA GeForce RTX 4090", 24 * GIB, 14 * GIB, PARTS)
LOCAL = EngineStatus("trtllm", "llama-3.1-8b-instruct", "local", "127.0.0.1", "loading", "Loading weights: 45 %.")
OFFICE = EngineStatus("office", "llama-3.3-70b-instruct", "self-hosted", "10.0.0.5", "ready", "")
CLOUD = EngineStatus("cloud", "meta/llama-3.3-70b-instruct", "remote", "nim.example.com", "down", "It refused the key.")
CHOICES = ("Embedder: bf16 on the GPU, 15.2 GiB free.", "Index: exact search by FAISS on the GPU.")
CPU = MachineStatus(8, 32 * GIB, 3 * GIB, (), (replace(LOCAL, state="ready", detail=""),), 0, 0, 0.0, CHOICES)
GPU = MachineStatus(16, 64 * GIB, 5 * GIB, (CARD,), (LOCAL, OFFICE, CLOUD), 2, 1, 171.4, CHOICES)


class Seen(HTMLParser):
    """Tags with their attributes, and the text of every element by its class."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def named(self, css_class: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.tags if attributes.get("class") == css_class]

    @property
    def text(self) -> str:
        return " ".join(self.pieces)


def widths(seen: Seen) -> list[float]:
    """The pieces of the first bar, in percent."""
    bar = next(i for i, (_, attributes) in enumerate(seen.tags) if attributes.get("class") == "lx-parts")
    found: list[float] = []
    for tag, attributes in seen.tags[bar + 1 :]:
        if tag != "span" or not (attributes.get("style") or "").startswith("width:"):
            break
        found.append(float((attributes["style"] or "").removeprefix("width:").removesuffix("%")))
    return found


# -- what is shown


def test_a_cards_bar_and_legend_have_the_same_parts_in_the_same_order() -> None:
    seen = Seen(render_machine(GPU))
    assert widths(seen) == pytest.approx([gib / 24 * 100 for gib in (9, 4, 1, 0.5, 0.5, 0.25, 0.5, 0.5)], abs=0.001)
    in_bar = [attributes["title"] for tag, attributes in seen.tags if tag == "span" and attributes.get("title")]
    assert in_bar[:4] == ["weights", "KV cache", "working memory", "embedder"]
    assert "weights 9.0 KV cache 4.0 working memory 1.0 embedder 0.5" in seen.text
    assert "free 7.8" in seen.text
    assert "14.0 of 24.0 GiB in use now" in seen.text
    assert seen.named("lx-in-use") == [{"class": "lx-in-use", "style": "left:58.333%"}]


def test_parts_keep_their_colours_and_no_two_share_one() -> None:
    legend = Seen(render_machine(GPU).split('<ul class="lx-legend"')[1].split("</ul>")[0])
    colours = [attributes["data-part"] for tag, attributes in legend.tags if tag == "li"]
    assert len(set(colours)) == len(colours) == 9
    fewer = replace(CARD, parts=(MemoryPart("something new", GIB), MemoryPart("embedder", GIB)))
    assert 'data-part="3"><span>embedder' in render_machine(replace(GPU, gpus=(fewer,)))


def test_memory_beyond_the_plan_is_shown_as_such() -> None:
    busy = replace(CARD, used_bytes=20 * GIB)
    assert "not planned 3.8 free 4.0" in Seen(render_machine(replace(GPU, gpus=(busy,)))).text
    without_a_plan = Seen(render_machine(replace(GPU, gpus=(replace(busy, parts=()),)))).text
    assert "In GiB in use 20.0 free 4.0" in without_a_plan


def test_a_plan_that_does_not_fit_says_by_how_much_and_stays_within_its_bar() -> None:
    small = replace(CARD, memory_bytes=12 * GIB, used_bytes=2 * GIB)
    seen = Seen(render_machine(replace(GPU, gpus=(small,))))
    assert "too much 4.2" in seen.text
    assert sum(widths(seen)) <= 100.01


def test_several_cards_are_numbered() -> None:
    text = Seen(render_machine(replace(GPU, gpus=(CARD, replace(CARD, index=1))))).text
    assert "GPU 0: NVIDIA GeForce RTX 4090" in text
    assert "GPU 1: NVIDIA GeForce RTX 4090" in text


def test_without_a_gpu_the_cores_and_the_memory_are_shown() -> None:
    seen = Seen(render_machine(CPU))
    assert "No NVIDIA GPU: what runs here runs on 8 cores." in seen.text
    assert "3.0 of 32.0 GiB used by Lectern" in seen.text
    assert widths(seen) == [9.375]
    assert "1 core." in render_machine(replace(CPU, cores=1))


def test_a_platform_that_does_not_tell_its_memory_gets_no_bar() -> None:
    html = render_machine(replace(CPU, memory_bytes=0))
    assert "Lectern uses 3.0 GiB of memory" in html
    assert "lx-parts" not in html


def test_engines_stand_in_their_order_with_state_as_a_word_and_where_the_text_goes() -> None:
    seen = Seen(render_machine(GPU))
    assert [engine["data-state"] for engine in seen.named("lx-engine")] == ["loading", "ready", "down"]
    order = ["loading", "on this machine", "Loading weights: 45 %.", "self-hosted at 10.0.0.5", "down", "remote at nim"]
    places = [seen.text.index(words) for words in order]
    assert places == sorted(places)


def test_no_engine_at_all_is_said() -> None:
    assert "answers are quoted from the documents" in render_machine(replace(CPU, engines=()))


@pytest.mark.parametrize(("rate", "said"), [(0.0, "0"), (0.44, "0.4"), (9.4, "9.4"), (171.4, "171")])
def test_traffic_is_three_figures(rate: float, said: str) -> None:
    html = render_machine(replace(GPU, tokens_per_s=rate, running=2, waiting=1300))
    assert f"<dt>tokens/s</dt><dd>{said}</dd>" in html
    assert "<dt>running</dt><dd>2</dd>" in html
    assert "<dt>waiting</dt><dd>1,300</dd>" in html


def test_choices_are_shown_with_their_reasons() -> None:
    text = Seen(render_machine(GPU)).text
    assert all(choice in text for choice in CHOICES)


def test_no_name_is_read_as_markup() -> None:
    engine = EngineStatus(EVIL, EVIL, "remote", EVIL, "down", EVIL)
    card = GpuStatus(0, EVIL, 8 * GIB, GIB, (MemoryPart(EVIL, GIB),))
    seen = Seen(render_machine(MachineStatus(1, GIB, GIB, (card,), (engine,), 0, 0, 0.0, (EVIL,))))
    allowed = {"div", "section", "h3", "p", "span", "ul", "ol", "li", "dl", "dt", "dd"}
    assert {tag for tag, _ in seen.tags} <= allowed
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    assert seen.text.count("onerror=alert(1)") == 7


# -- on the page


class OnMachine:
    """As much of an appliance as the page asks for, on a machine that the test makes up."""

    def __init__(self, machine: MachineStatus) -> None:
        self.now = machine
        self.looked = threading.Semaphore(0)

    def machine(self) -> MachineStatus:
        self.looked.release()
        return self.now

    def collections(self, _: object) -> list[str]:
        return ["default"]

    def conversations(self, _: object) -> list[ConversationInfo]:
        return [ConversationInfo("a", "How much leave do I have?", 0.0)]

    def status(self, **_: object) -> CollectionStatus:
        return CollectionStatus("default", (), (), {}, None, 0.0)


def test_a_machine_that_cannot_be_looked_at_is_said_in_its_panel() -> None:
    class Broken(OnMachine):
        def machine(self) -> MachineStatus:
            raise ModelError("nvidia-smi <broke>")

    html = Handlers(Broken(CPU), Runs()).machine()  # type: ignore[arg-type]  # a stand-in
    assert "nvidia-smi &lt;broke&gt;" in html


def open_page(browser: Browser, server: WebServer) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(server.url)
    page.wait_for_selector(".lx-machine-toggle", timeout=WAIT_MS)
    page.wait_for_selector("#lx-running[aria-live]", state="attached", timeout=WAIT_MS)
    return page


@pytest.mark.browser
def test_the_panel_opens_by_keyboard_follows_the_machine_and_rests_when_closed(
    browser: Browser, serve: Callable[[object], WebServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.layout.MACHINE_S", 0.2)
    appliance = OnMachine(GPU)
    page = open_page(browser, serve(appliance))
    toggle = page.locator(".lx-machine-toggle")
    assert not page.locator("#lx-machine").is_visible()
    assert not appliance.looked.acquire(blocking=False)
    toggle.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#lx-machine .lx-engine[data-state='loading']", timeout=WAIT_MS)
    assert toggle.get_attribute("aria-expanded") == "true"
    appliance.now = replace(GPU, engines=(replace(LOCAL, state="ready", detail=""), OFFICE))
    page.wait_for_selector("#lx-machine .lx-engine:first-child[data-state='ready']", timeout=WAIT_MS)
    assert page.evaluate("document.activeElement.className") == "lx-machine-toggle"
    page.keyboard.press("Enter")
    page.wait_for_selector("#lx-machine", state="hidden", timeout=WAIT_MS)
    assert toggle.get_attribute("aria-expanded") == "false"
    # What was on its way may still come; then nothing does.
    assert any(not appliance.looked.acquire(timeout=1.0) for _ in range(30))
    page.close()


@pytest.mark.browser
def test_on_a_narrow_screen_the_panel_stays_within_it(browser: Browser, serve: Callable[[object], WebServer]) -> None:
    page = open_page(browser, serve(OnMachine(GPU)))
    page.set_viewport_size({"width": 360, "height": 640})
    page.locator(".lx-open-left").click()
    page.locator(".lx-machine-toggle").click()
    page.wait_for_selector("#lx-machine .lx-legend", timeout=WAIT_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    foot = page.locator("#lx-left-foot")
    assert foot.evaluate("element => element.scrollWidth <= element.clientWidth")
    assert foot.evaluate("element => element.getBoundingClientRect().bottom") <= 640
    page.close()
