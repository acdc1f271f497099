"""The command line's view: prints the messages of a command, progress to standard error, results to standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Message = dict[str, Any]
Request = Callable[[str, dict[str, object]], Iterator[dict[str, object]]]
_WIDE = 10_000
_STATE_STYLES = {"indexed": "green", "partial": "yellow", "pending": "dim", "skipped": "dim"}


def print_messages(command: str, messages: Iterator[dict[str, object]], *, as_json: bool) -> int:
    """Print a command's messages as they come; returns the exit status."""
    from rich.console import Console

    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    result: Message | None = None
    with _progress(errors) as progress:
        shown = _ProgressView(progress, errors)
        for message in messages:
            if "error" in message:
                shown.end()
                errors.print(f"lectern: {message['error']}", style="red", markup=False)
                return 1
            if "progress" in message:
                shown.show(message["progress"])
            elif "text" in message and not as_json:
                shown.end()
                sys.stdout.write(str(message["text"]))
                sys.stdout.flush()
            elif "result" in message:
                result = message["result"]  # type: ignore[assignment]  # the shape of the command's result
    if result is None:
        errors.print("lectern: the appliance went away before it had finished. Run the command again.", style="red")
        return 1
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        console = Console(highlight=False, soft_wrap=True)
        if not console.is_terminal:  # for grep: no name is cut, no line broken
            console.width = _WIDE
        _VIEWS[command](console, result)
    return 0


def converse(request: Request, answering: dict[str, object]) -> int:
    """Questions and answers until an empty line or Ctrl-D; one conversation."""
    begun = list(request("begin_conversation", dict(answering)))[-1]
    if "error" in begun:
        print(f"lectern: {begun['error']}", file=sys.stderr)
        return 1
    conversation = begun["result"]["conversation"]  # type: ignore[index]  # the shape of that command's result
    print("Ask about your documents; an empty line ends.", file=sys.stderr)
    while True:
        try:
            question = input("› ").strip()
        except EOFError:
            question = ""
        if not question:
            return 0
        arguments = {**answering, "question": question, "conversation": conversation}
        print_messages("ask", request("ask", arguments), as_json=False)


def print_findings(findings: list[dict[str, str]], *, as_json: bool) -> int:
    """The doctor's findings; the exit status is 1 when one of them is an error."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if as_json:
        print(json.dumps({"findings": findings}, ensure_ascii=False))
    else:
        table = Table("", box=None, pad_edge=False)
        for title in ("check", "finding", "what to do"):
            table.add_column(title, overflow="fold")  # nothing is cut off: a remedy is there to be copied
        marks = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "error": "[red]✗[/]"}
        for finding in findings:
            detail, remedy = Text(finding["detail"]), Text(finding["remedy"])
            table.add_row(marks[finding["severity"]], finding["check"], detail, remedy)
        Console(highlight=False).print(table)
    return int(any(finding["severity"] == "error" for finding in findings))


def _progress(console: Console) -> Progress | nullcontext[None]:
    """Bars on a terminal, nothing where the output goes to a file."""
    if not console.is_terminal:
        return nullcontext()
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class _ProgressView:
    """Turns progress messages into bars: files read, chunks embedded, questions evaluated."""

    def __init__(self, progress: Progress | None, console: Console) -> None:
        self._progress = progress
        self._console = console
        self._tasks: dict[str, Any] = {}

    def show(self, event: Any) -> None:
        if event["event"] == "FileDone" and event["state"] not in ("indexed", "partial"):
            self._console.print(f"{event['state']}: {event['path']}: {event['reason']}", style="yellow", markup=False)
        elif event["event"] == "EngineLost" and event["next"] == "engine":  # else a note of the answer says it
            self._console.print(f"\n{event['message']}", style="yellow", markup=False)
        elif event["event"] == "Activity":
            self._bar(
                "files", f"{event['phase']} {event['current_file'] or ''}"[:50], event, "files_done", "files_total"
            )
            self._bar("chunks", "embedded chunks", event, "chunks_embedded", "chunks_total")
        elif event["event"] == "Evaluated":
            self._bar("questions", "questions", event, "done", "total")

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _bar(self, name: str, description: str, event: Message, done: str, total: str) -> None:
        if self._progress is None:
            return
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(description, total=event[total])
        self._progress.update(self._tasks[name], description=description, completed=event[done], total=event[total])


def _print_status(console: Console, result: Message) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("state", "file", "pages", "chunks", "reason", box=None, pad_edge=False)
    for file in result["files"]:
        pages = f"{file['pages']['indexed']}/{file['pages']['total']}" if file["pages"]["total"] else ""
        state = f"[{_STATE_STYLES.get(file['state'], 'red')}]{file['state']}[/]"
        # Paths and reasons as they are: brackets in them are no markup.
        table.add_row(state, Text(file["path"]), pages, str(file["chunks"] or ""), Text(file["reason"] or ""))
    if result["files"]:
        console.print(table)
    totals = result["totals"]
    unread = totals["skipped"] + totals["failed"] + totals["quarantined"]
    console.print(
        f"\n{result['collection']}: {totals['files']} files, {totals['indexed']} read whole, {totals['partial']} "
        f"in part, {unread} not; {totals['chunks_embedded']} of {totals['chunks']} chunks embedded; "
        f"{result['seconds']:.1f} s",
        markup=False,
    )
    if not result["folders"]:
        console.print("No folder is mirrored yet: python app.py ingest FOLDER")


def _print_show(console: Console, result: Message) -> None:
    console.print(f"{result['path']}: {result['state']}, {result['chunks']} chunks", style="bold", markup=False)
    if result["reason"]:
        console.print(result["reason"], style="yellow", markup=False)
    page = part = None
    for element in result["elements"]:
        if (element["page"], element["part"]) != (page, part):
            page, part = element["page"], element["part"]
            place = " · ".join(str(x) for x in (part, page and f"page {page}") if x)
            console.print(f"\n── {place}", style="dim", markup=False)
        console.print(f"{element['kind']}: {element['text']}", markup=False)


def _print_search(console: Console, result: Message) -> None:
    for rank, passage in enumerate(result["passages"], 1):
        place = passage["file"] + (f", page {passage['page']}" if passage["page"] else "")
        console.print(f"{rank}. {place}  ({passage['score']:.3f})", style="bold", markup=False)
        console.print(f"{passage['heading']}\n{passage['text']}\n", markup=False)
    if not result["passages"]:
        console.print("Nothing found. Is a folder mirrored? python app.py status")


def _print_ask(console: Console, result: Message) -> None:
    console.print()
    for citation in result["citations"]:
        place = citation["file"] + (f", page {citation['page']}" if citation["page"] else "")
        mark = "" if citation["verified"] else " (quote not found)"
        console.print(f"[{citation['n']}] {place}, version {citation['version']}{mark}", markup=False, style="cyan")
    if result["engine"]:
        from models.interfaces import Engine

        console.print(f"written by {Engine(**result['engine'])}", style="dim", markup=False)
    for note in result["notes"]:
        console.print(note, style="dim", markup=False)
    if result["refused"]:
        for passage in result["passages"][:3]:
            place = passage["file"] + (f", page {passage['page']}" if passage["page"] else "")
            console.print(f"\nclosest: {place}\n{passage['text'][:400]}", style="dim", markup=False)


def _print_eval(console: Console, result: Message) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("figure", "value", box=None, pad_edge=False)
    for name, value in result.items():
        table.add_row(name, Text(str(value)))
    console.print(table)


def _print_collection(console: Console, result: Message) -> None:
    for row in result.get("collections", ()):
        console.print(
            f"{row['collection']}: {row['totals']['files']} files in {', '.join(row['folders'])}", markup=False
        )
    for word in ("removed", "forgotten"):
        if word in result:
            console.print(f"{word}: {result[word]}", markup=False)


_VIEWS: dict[str, Callable[[Console, Message], None]] = {
    "ingest": _print_status,
    "status": _print_status,
    "show": _print_show,
    "search": _print_search,
    "ask": _print_ask,
    "eval": _print_eval,
    "collection": _print_collection,
}
