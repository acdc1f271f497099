"""The chat page: which handler each act of a person calls, and which parts change then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import gradio as gr
from fastapi import FastAPI

from rag.events import Mode
from web.handlers import Handlers, Screen
from web.layout import Parts, lay_out

# How many answers may be in the making at once, over all tabs; further ones wait their turn.
ANSWERS_AT_ONCE = 8
HEAD = """
<link rel="stylesheet" href="/ui/assets/page.css">
<link rel="icon" type="image/svg+xml" href="/ui/assets/mark.svg">
<meta name="color-scheme" content="light dark">
<script src="/ui/assets/page.js" defer></script>
"""
QUIET = {"show_progress": "hidden", "api_visibility": "private"}

Updates = tuple[object, ...]


async def mount_page(app: FastAPI, handlers: Handlers, host: str, port: int) -> asyncio.Event:
    """Put the page at the root of `app`, below every other route; nothing of Gradio's that asks other machines.

    Returns the event that ends the connections which open pages hold; to be set from the server's own loop.
    """
    gr.mount_gradio_app(
        app,
        build_page(handlers),
        "/",
        server_name=host,
        server_port=port,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        show_error=False,
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        head=HEAD,
    )
    apps = (getattr(route, "app", None) for route in app.routes)
    mounted = next(app for app in apps if isinstance(app, gr.routes.App))
    end: asyncio.Event = mounted.stop_event
    return end


def build_page(handlers: Handlers) -> gr.Blocks:
    """The whole page, ready to be mounted."""
    with gr.Blocks(title="Lectern", analytics_enabled=False, fill_width=True) as page:
        parts = lay_out(handlers.collections())
        _listen_to_questions(page, parts, handlers)
        _listen_to_conversations(page, parts, handlers)
        _listen_to_documents(page, parts, handlers)
        _listen_to_machine(parts, handlers)
    page.queue(default_concurrency_limit=ANSWERS_AT_ONCE, api_open=False)
    return page


def _screen_parts(parts: Parts) -> list[gr.components.Component]:
    return [parts.turns, parts.running, parts.conversations, parts.conversation, parts.send, parts.stop]


def _updates(screen: Screen) -> Updates:
    """A value for each of `_screen_parts`."""
    texts = (screen.turns, screen.running, screen.conversations, screen.conversation)
    if screen.busy is None:
        buttons: Updates = (gr.skip(), gr.skip())
    else:
        buttons = (gr.update(visible=not screen.busy), gr.update(visible=screen.busy))
    return (*(gr.skip() if text is None else text for text in texts), *buttons)


def _tab(request: gr.Request) -> str:
    return str(request.session_hash)


def _mode(choice: str) -> Mode | None:
    return "quote" if choice == "quote" else "generate" if choice == "generate" else None


def _listen_to_questions(page: gr.Blocks, parts: Parts, handlers: Handlers) -> None:
    def ask(question: str, conversation: str, collection: str, mode: str, request: gr.Request) -> Iterator[Updates]:
        # The box is emptied with the first update and left alone after it: the next question may be typed by then.
        box: object = ""
        for screen in handlers.ask(question, conversation, collection, _mode(mode), _tab(request)):
            yield box, *_updates(screen)
            box = gr.skip()

    def ask_again(
        conversation: str, collection: str, mode: str, event: gr.EventData, request: gr.Request
    ) -> Iterator[Updates]:
        question = str(event.question)
        for screen in handlers.ask(question, conversation, collection, _mode(mode), _tab(request)):
            yield _updates(screen)

    def stop(request: gr.Request) -> None:
        handlers.stop(_tab(request))

    limits = {"concurrency_limit": ANSWERS_AT_ONCE, "concurrency_id": "answers"} | QUIET
    settings = [parts.conversation, parts.scope, parts.mode]
    changes = _screen_parts(parts)
    gr.on(
        [parts.question.submit, parts.send.click],
        ask,
        [parts.question, *settings],
        [parts.question, *changes],
        **limits,
    )
    gr.on([parts.turns.submit, parts.running.submit], ask_again, settings, changes, **limits)
    # Not queued: a stop must not wait behind the answers that it ends.
    parts.stop.click(stop, queue=False, **QUIET)
    page.unload(stop)


def _listen_to_conversations(page: gr.Blocks, parts: Parts, handlers: Handlers) -> None:
    def arrive(collection: str, request: gr.Request) -> Updates:
        # The address names the conversation, so a tab shows its own again after a reload.
        return _updates(handlers.open(request.query_params.get("conversation", ""), collection))

    def begin(collection: str, request: gr.Request) -> Updates:
        handlers.stop(_tab(request))
        return _updates(handlers.open("", collection))

    def choose(collection: str, event: gr.EventData, request: gr.Request) -> Updates:
        handlers.stop(_tab(request))
        return _updates(handlers.open(str(event.conversation), collection))

    changes = _screen_parts(parts)
    page.load(arrive, [parts.scope], changes, **QUIET)
    page.load(lambda: gr.Dropdown(choices=handlers.collections()), None, [parts.scope], **QUIET)
    parts.new.click(begin, [parts.scope], changes, **QUIET)
    parts.conversations.select(choose, [parts.scope], changes, **QUIET)


def _listen_to_documents(page: gr.Blocks, parts: Parts, handlers: Handlers) -> None:
    def look(collection: str, state: str, name: str) -> Updates:
        documents = handlers.look(collection, state, name)
        return documents.html, documents.files, gr.Timer(documents.next_look_s)

    def add(folder: str, rules: str, collection: str) -> Updates:
        problem = handlers.add_folder(folder, rules, collection)
        return (gr.skip(), gr.skip(), problem) if problem else ("", "", "")

    def act(collection: str, state: str, event: gr.EventData) -> Updates:
        if event.act == "show":
            return str(event.state), gr.skip()
        return state, handlers.act(str(event.act), str(event.file), collection)

    wanted, seen = [parts.scope, parts.shown_state, parts.shown_name], [parts.documents, parts.files, parts.timer]
    gr.on([parts.timer.tick, parts.scope.change, page.load], look, wanted, seen, **QUIET)
    # While one look is under way, of several more only the last counts.
    parts.shown_name.input(look, wanted, seen, trigger_mode="always_last", **QUIET)
    folder, told = [parts.folder, parts.rules, parts.scope], [parts.folder, parts.rules, parts.added]
    added = gr.on([parts.folder.submit, parts.add.click], add, folder, told, **QUIET)
    added.then(look, wanted, seen, **QUIET)
    chosen = [parts.scope, parts.shown_state]
    clicked, changed = [parts.documents.select, parts.files.select], [parts.shown_state, parts.acted]
    acted = gr.on(clicked, act, chosen, changed, trigger_mode="multiple", **QUIET)
    acted.then(look, wanted, seen, **QUIET)


def _listen_to_machine(parts: Parts, handlers: Handlers) -> None:
    def unfold(event: gr.EventData) -> Updates:
        is_open = bool(event.open)
        return handlers.machine() if is_open else gr.skip(), gr.Timer(active=is_open)

    parts.machine_toggle.select(unfold, None, [parts.machine, parts.machine_timer], **QUIET)
    parts.machine_timer.tick(handlers.machine, None, [parts.machine], **QUIET)
