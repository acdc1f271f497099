"""The results of the commands, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rag.durations import roughly
from web.terminal_files import paths_told_twice, print_files

if TYPE_CHECKING:
    from rich.console import Console

Message = dict[str, Any]


def _print_status(console: Console, result: Message) -> None:
    rows = []
    twice = paths_told_twice(file["path"] for file in result["files"])
    for file in result["files"]:
        pages = f"{file['pages']['indexed']}/{file['pages']['total']}" if file["pages"]["total"] else ""
        waiting = file["waiting"]["said"] if file["waiting"] else None
        reason = "; ".join(text for text in (waiting, file["reason"]) if text)
        name = f"{file['folder']}/{file['path']}" if file["path"] in twice else file["path"]
        state = "empty" if file["state"] == "failed" and not file["bytes"] else file["state"]
        rows.append((state, name, pages, str(file["chunks"] or ""), reason))
    print_files(console, ("state", "file", "pages", "chunks", "reason"), rows)
    _print_totals(console, result)
    _print_queue_line(console, result["queue"], result["lag_s"])
    for folder in result["folder_states"]:
        console.print(_folder(folder), markup=False)
    if not result["folders"]:
        console.print("No folder is mirrored yet: python app.py ingest FOLDER")


def _print_totals(console: Console, result: Message) -> None:
    totals = result["totals"]
    unread = totals["skipped"] + totals["failed"] + totals["quarantined"]
    console.print(
        f"\n{result['collection']}: {totals['files']} files, {totals['indexed']} read whole, {totals['partial']} "
        f"in part, {unread} not; {totals['pages_indexed']:,} of {totals['pages_total']:,} pages found in them, "
        f"{totals['characters']:,} characters; {totals['chunks_embedded']:,} of {totals['chunks']:,} chunks embedded; "
        f"{result['seconds']:.1f} s",
        markup=False,
    )


def _print_queue_line(console: Console, queue: Message, lag_s: float) -> None:
    parts = [f"{queue[name]} {said}" for name, said in _QUEUE.items() if queue[name]]
    if queue["paused"]:
        parts.insert(0, "paused (`python app.py queue resume` goes on)")
    if parts:
        console.print(f"queue: {', '.join(parts)}; {roughly(lag_s)} behind the disk", markup=False)


_QUEUE = {"waiting": "waiting", "reading": "being read", "retrying": "to be tried again"}
_FOLLOWED = {
    "starting": "being looked through",
    "watching": "followed",
    "polling": "followed, looked at now and then",
    "missing": "missing",
    "not followed": "not followed now",
}


def _folder(folder: Message) -> str:
    parts = [str(_FOLLOWED.get(folder["state"], folder["state"]))]
    if folder["message"]:
        parts.append(folder["message"])
    if folder["lag_s"] is None:
        parts.append("never looked through to the end")
    elif folder["fault"] or folder["state"] not in ("watching", "polling"):
        parts.append(f"last looked through {roughly(folder['scanned_s_ago'] or 0)} ago")
    elif folder["lag_s"]:
        parts.append(f"{roughly(folder['lag_s'])} behind the disk")
    else:
        parts.append("in step with the disk")
    if folder["excluded"]:
        parts.append(f"{folder['excluded']} left out by rules")
    return f"{folder['path']}: {', '.join(parts)}"


def _print_show(console: Console, result: Message) -> None:
    waits = f", {result['waiting']['state']}" if result["waiting"] else ""
    chunks = f", {result['chunks']} chunks" if result["chunks"] else ""
    console.print(f"{result['path']}: {result['state']}{waits}{chunks}", style="bold", markup=False)
    for sentence in result["why"]:
        console.print(sentence, style="" if result["findable"] else "yellow", markup=False)
    page = part = None
    for element in result["elements"]:
        if (element["page"], element["part"]) != (page, part):
            page, part = element["page"], element["part"]
            place = " · ".join(text for text in (part, page and f"page {page}", _confidence(element)) if text)
            console.print(f"\n── {place}", style="dim", markup=False)
        console.print(f"{element['kind']}: {element['text']}", markup=False)


def _confidence(element: Message) -> str:
    confidence = element["confidence"]
    return "" if confidence is None else f"recognised in a picture, confidence {confidence:.0%}"


def _print_queue(console: Console, result: Message) -> None:
    if "retried" in result:
        console.print(f"{len(result['retried'])} to be read again:", markup=False)
        for path in result["retried"]:
            console.print(f"  {path}", markup=False)
    elif result.get("files"):
        twice = paths_told_twice(file["path"] for file in result["files"])
        rows = [
            (file["state"], f"{file['folder']}/{file['path']}" if file["path"] in twice else file["path"], file["said"])
            for file in result["files"]
        ]
        print_files(console, ("state", "file", "what is known"), rows)
    waits = result["waiting"] + result["reading"] + result["retrying"]
    if waits or result["paused"]:
        _print_queue_line(console, result, result["lag_s"])
    else:
        console.print("Nothing waits.")
    if waits and not (result["followed"] or result["paused"]):
        console.print("Nobody reads them now: `python app.py ingest FOLDER` does, and so does `serve`.")


def _print_search(console: Console, result: Message) -> None:
    for rank, passage in enumerate(result["passages"], 1):
        console.print(f"{rank}. {_place(passage)}  ({passage['score']:.3f})", style="bold", markup=False)
        console.print(f"{passage['heading']}\n{passage['text']}\n", markup=False)
    if not result["passages"]:
        console.print("Nothing found. Is a folder mirrored? python app.py status")


def _print_ask(console: Console, result: Message) -> None:
    console.print()
    for citation in result["citations"]:
        mark = "" if citation["verified"] else " (quote not found)"
        console.print(
            f"[{citation['n']}] {_place(citation)}, version {citation['version']}{mark}", markup=False, style="cyan"
        )
    if result["engine"]:
        from models.interfaces import Engine

        console.print(f"written by {Engine(**result['engine'])}", style="dim", markup=False)
    for note in result["notes"]:
        console.print(note, style="dim", markup=False)
    if result["refused"]:
        for passage in result["passages"][:3]:
            console.print(f"\nclosest: {_place(passage)}\n{passage['text'][:400]}", style="dim", markup=False)


def _place(found: Message) -> str:
    """Of a passage or a citation: "bundle.zip › handbook.pdf, page 3"."""
    part = f" › {found['part']}" if found["part"] else ""
    page = f", page {found['page']}" if found["page"] else ""
    return f"{found['file']}{part}{page}"


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


VIEWS: dict[str, Callable[[Console, Message], None]] = {
    "ingest": _print_status,
    "status": _print_status,
    "show": _print_show,
    "queue": _print_queue,
    "search": _print_search,
    "ask": _print_ask,
    "eval": _print_eval,
    "collection": _print_collection,
}
