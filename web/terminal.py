"""The command line's view: prints the messages of a command, progress to standard error, results to standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from web.terminal_progress import ProgressView
from web.terminal_views import VIEWS

Message = dict[str, Any]
Request = Callable[[str, dict[str, object]], Iterator[dict[str, object]]]
_WIDE = 10_000


def print_messages(command: str, messages: Iterator[dict[str, object]], *, as_json: bool) -> int:
    """Print a command's messages as they come; returns the exit status."""
    from rich.console import Console

    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    finished = False
    with ProgressView(errors) as progress:
        for message in messages:
            if "progress" in message:
                progress.show(message["progress"])
                continue
            progress.end()
            if "error" in message:
                errors.print(f"lectern: {message['error']}", style="red", markup=False)
                return 1
            if "text" in message and not as_json:
                sys.stdout.write(str(message["text"]))
                sys.stdout.flush()
            for kind in ("document", "result"):
                if kind in message:
                    finished = kind == "result"
                    _print_document(command, message[kind], as_json)  # type: ignore[arg-type]  # the command's shape
    if not finished:
        errors.print("lectern: the appliance went away before it had finished. Run the command again.", style="red")
    return 0 if finished else 1


def _print_document(command: str, document: Message, as_json: bool) -> None:
    from rich.console import Console

    if as_json:
        print(json.dumps(document, ensure_ascii=False), flush=True)
        return
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:  # for grep: no name is cut, no line broken
        console.width = _WIDE
    VIEWS[command](console, document)


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
