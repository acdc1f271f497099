"""Which parts the chat page has and where they stand. How they look is in `assets/page.css`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# At the top for once: Gradio reads annotations. Only `build_app` imports this module, so `--help` stays quick.
import gradio as gr

# What the documents panel asks for while there is something to see.
FIRST_LOOK_S = 1.0
# How often the device panel is painted anew, while it is open.
MACHINE_S = 3.0
MODES = [("Automatic", "automatic"), ("Quote", "quote"), ("Write", "generate")]

# Clicks in our own HTML, handed to Gradio as events that say what was chosen. What is named `path` in such an event
# Gradio takes for an upload of its own, and refuses.
ON_RETRY = """element.addEventListener('click', (event) => {
  const retry = event.target.closest('.lx-retry');
  if (retry) trigger('submit', { question: retry.closest('.lx-answer').dataset.question });
});"""
ON_CONVERSATION = """element.addEventListener('click', (event) => {
  const chosen = event.target.closest('.lx-conversation');
  if (chosen) trigger('select', { conversation: chosen.dataset.conversation });
});"""
ON_DOCUMENTS = """element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]');
  if (!button) return;
  const { act, path = '', state = '', sure = '' } = button.dataset;
  if (sure && !confirm(sure)) return;
  trigger('select', { act, file: path, state });
});"""
ON_MACHINE = """element.addEventListener('click', (event) => {
  const toggle = event.target.closest('.lx-machine-toggle');
  if (!toggle) return;
  const open = toggle.getAttribute('aria-expanded') !== 'true';
  toggle.setAttribute('aria-expanded', String(open));
  trigger('select', { open });
});"""

BRAND = """<div class="lx-brand"><span class="lx-mark" aria-hidden="true"></span><h1>Lectern</h1>
<button type="button" class="lx-close-left" aria-label="Close">×</button></div>"""
BAR = """<div class="lx-bar"><button type="button" class="lx-open-left" aria-label="Documents and conversations">
<span></span><span></span><span></span></button><strong>Lectern</strong></div>"""
MACHINE = """<h2><button type="button" class="lx-machine-toggle" aria-expanded="false" aria-controls="lx-machine">
This machine</button></h2>"""
SOURCE = """<aside class="lx-source" aria-label="Source" hidden tabindex="-1"><div class="lx-source-bar">
<span class="lx-source-count"></span><button type="button" class="lx-source-previous" aria-label="Previous citation">
‹</button><button type="button" class="lx-source-next" aria-label="Next citation">›</button>
<button type="button" class="lx-source-close" aria-label="Close the source">×</button></div>
<div class="lx-source-body" aria-live="polite"></div></aside>"""


@dataclass(frozen=True)
class Parts:
    """The parts of the page that change or that a person acts on."""

    conversation: gr.State
    new: gr.Button
    scope: gr.Dropdown
    documents: gr.HTML
    acted: gr.HTML
    shown_state: gr.State
    shown_name: gr.Textbox
    files: gr.HTML
    folder: gr.Textbox
    rules: gr.Textbox
    add: gr.Button
    added: gr.HTML
    conversations: gr.HTML
    machine_toggle: gr.HTML
    machine: gr.HTML
    machine_timer: gr.Timer
    turns: gr.HTML
    running: gr.HTML
    question: gr.Textbox
    mode: gr.Radio
    send: gr.Button
    stop: gr.Button
    timer: gr.Timer


def lay_out(collections: Sequence[str]) -> Parts:
    """Build the parts; to be called within `gr.Blocks`."""
    parts: dict[str, gr.components.Component] = {"conversation": gr.State(""), "shown_state": gr.State("")}
    with gr.Row(elem_id="lx-shell"):
        with gr.Column(elem_id="lx-left", min_width=0):
            parts |= _left(collections)
        with gr.Column(elem_id="lx-middle", min_width=0):
            parts |= _middle()
        with gr.Column(elem_id="lx-right", min_width=0):
            _html(SOURCE)
    return Parts(**parts, timer=gr.Timer(FIRST_LOOK_S), machine_timer=gr.Timer(MACHINE_S, active=False))


def _html(html: str, *, elem_id: str | None = None, on_load: str | None = None) -> gr.HTML:
    # The template is left at Gradio's default, which inserts the value as it is: in a template of ours, `${…}` in the
    # text of a document would be run as a script.
    return gr.HTML(html, elem_id=elem_id, js_on_load=on_load, apply_default_css=False)


def _left(collections: Sequence[str]) -> dict[str, gr.components.Component]:
    _html(BRAND)
    new = gr.Button("New conversation", elem_id="lx-new")
    with gr.Column(elem_id="lx-left-scroll"):
        _html('<h2 class="lx-heading">Documents</h2><p class="lx-gone" role="alert"></p>')
        first = collections[0] if collections else None
        scope = gr.Dropdown(
            list(collections), value=first, label="Collection", elem_classes="lx-scope", filterable=False
        )
        documents = _html("", elem_id="lx-documents", on_load=ON_DOCUMENTS)
        acted = _html("", elem_id="lx-acted")
        adding = _adding()
        shown_name = _line("Filter the files by name", "Filter by name…", elem_id="lx-filter")
        files = _html("", elem_id="lx-files", on_load=ON_DOCUMENTS)
        _html('<h2 class="lx-heading">Conversations</h2>')
        conversations = _html("", elem_id="lx-conversations", on_load=ON_CONVERSATION)
    with gr.Column(elem_id="lx-left-foot"):
        machine_toggle = _html(MACHINE, on_load=ON_MACHINE)
        machine = _html('<p class="lx-hint">Looking…</p>', elem_id="lx-machine")
    return {
        "new": new,
        "scope": scope,
        "documents": documents,
        "acted": acted,
        **adding,
        "shown_name": shown_name,
        "files": files,
        "conversations": conversations,
        "machine_toggle": machine_toggle,
        "machine": machine,
    }


def _adding() -> dict[str, gr.components.Component]:
    with gr.Row(elem_id="lx-add"):
        folder = _line("Folder to add", "Path of a folder to add")
        add = gr.Button("Add", min_width=0, elem_id="lx-add-button")
    with gr.Accordion("What to leave out", open=False, elem_id="lx-add-rules"):
        rules = _line("Rules, as in a gitignore file", "drafts/\n*.bak\n!keep.bak", lines=3)
    return {"folder": folder, "add": add, "rules": rules, "added": _html("", elem_id="lx-added")}


def _line(label: str, placeholder: str, *, lines: int = 1, elem_id: str | None = None) -> gr.Textbox:
    return gr.Textbox(
        "",  # else it is None until somebody types
        label=label,
        show_label=False,
        placeholder=placeholder,
        lines=lines,
        max_lines=max(lines, 1),
        container=False,
        elem_id=elem_id,
    )


def _middle() -> dict[str, gr.components.Component]:
    _html(BAR)
    with gr.Column(elem_id="lx-scroll"):
        # The finished turns apart from the running one, so that streaming does not send them again and again.
        turns = _html("", elem_id="lx-turns", on_load=ON_RETRY)
        running = _html("", elem_id="lx-running", on_load=ON_RETRY)
    with gr.Column(elem_id="lx-composer"):
        question = gr.Textbox(
            label="Question",
            show_label=False,
            placeholder="Ask your documents…",
            lines=1,
            max_lines=8,
            autofocus=True,
            container=False,
            elem_classes="lx-question",
        )
        with gr.Row(elem_id="lx-composer-foot"):
            mode = gr.Radio(MODES, value="automatic", label="How to answer", show_label=False, elem_id="lx-mode")
            send = gr.Button("Ask", elem_classes="lx-send", min_width=0)
            stop = gr.Button("Stop", elem_classes="lx-stop", min_width=0, visible=False)
    return {"turns": turns, "running": running, "question": question, "mode": mode, "send": send, "stop": stop}
