"""The documents' side of the page as HTML: how far the index is behind the disk, what is being done, each file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import PurePosixPath

from rag.durations import roughly
from rag.status import CollectionStatus, FileStatus, FolderStatus, Wanted
from web.render import counted
from web.render_activity import render_activity

STATE_WORDS = {
    "indexed": "ready",
    "partial": "read in part",
    "skipped": "skipped",
    "failed": "could not be read",
    "quarantined": "set aside: it broke the reader",
    "pending": "waiting",
}
CHIPS = {
    "waiting": "waiting",
    "quarantined": "set aside",
    "failed": "not readable",
    "partial": "in part",
    "skipped": "skipped",
    "indexed": "ready",
}
FOLDER_WORDS = {
    "starting": "looking…",
    "watching": "followed",
    "polling": "looked at now and then",
    "missing": "missing",
    "not followed": "not followed",
}
ROWS_SHOWN = 300
RETRIED = ("failed", "quarantined")


def render_documents(status: CollectionStatus) -> str:
    """The head of the panel: in step or not, what is under way, the folders."""
    if not status.folders and not status.totals.get("files"):
        return (
            '<div class="lx-empty"><p><strong>No documents yet.</strong></p><p>Type the path of a folder below and '
            "press Add. Lectern reads it where it is, and follows every change in it.</p></div>"
        )
    folders = "".join(_folder(folder) for folder in status.folder_states)
    return (
        f'<section class="lx-step-state" data-lag="{status.lag_s:g}">{_headline(status)}'
        f'<p class="lx-totals">{_totals(status)}</p>{render_activity(status.activity)}</section>'
        f'<ul class="lx-folders" aria-label="Folders">{folders}</ul>'
    )


def render_files(status: CollectionStatus, wanted: Wanted) -> str:
    """The files that are wanted, under chips that choose them by state."""
    if not status.totals.get("files"):
        return ""
    counts = Counter(file.path for file in status.files)
    rows = "".join(_file(file, with_folder=counts[file.path] > 1) for file in status.files)
    hidden = status.matching - len(status.files)
    more = f'<p class="lx-hint">and {counted(hidden, "more file")}: filter by name</p>' if hidden > 0 else ""
    none = "" if status.files else _none(wanted)
    collection = escape(status.collection, quote=True)
    return (
        f'<div class="lx-chips" role="group" aria-label="Show">{_chips(status, wanted)}</div>'
        f'<ul class="lx-files" aria-label="Files" data-collection="{collection}">{rows}</ul>{none}{more}'
    )


def _none(wanted: Wanted) -> str:
    """Whoever looks for a file that is not listed may ask why."""
    name = escape(wanted.name, quote=True)
    asks = f' <button type="button" class="lx-act" data-file="{name}">Why is it not here?</button>' if name else ""
    return f'<p class="lx-hint lx-none" role="status">No file is like that.{asks}</p>'


def render_problem(message: str) -> str:
    return f'<p class="lx-problem" role="alert">{escape(message)}</p>'


def _headline(status: CollectionStatus) -> str:
    kind, said = _standing(status)
    queue = status.queue
    if queue.paused:
        buttons = _button("resume", "Resume")
    else:
        buttons = _button("pause", "Pause") if status.activity or queue.waiting or queue.reading else ""
    failed = sum(status.totals.get(state, 0) for state in RETRIED) - status.totals.get("empty", 0)
    if failed > 0:
        title = "Reads again every file that could not be read or was set aside"
        buttons += _button("retry", f"Retry failed ({failed:,})", title=title)
    return (
        f'<div class="lx-standing" data-kind="{kind}"><span role="status">{escape(said)}</span></div>'
        f'<div class="lx-acts">{buttons}</div>'
    )


def _standing(status: CollectionStatus) -> tuple[str, str]:
    """(kind, sentence): how the index stands to the disk."""
    waits = status.queue.waiting + status.queue.reading + status.queue.retrying
    missing = [folder for folder in status.folder_states if folder.state == "missing"]
    faulty = [folder for folder in status.folder_states if folder.fault]
    loose = [folder for folder in status.folder_states if folder.state == "not followed"]
    if status.queue.paused:
        return "paused", f"Paused · {counted(waits, 'file')} waiting" if waits else "Paused"
    if missing:
        return "bad", f"{missing[0].path} is missing: is its disk connected? What was read of it stays."
    if faulty:
        said = faulty[0].message or "it cannot be looked at"
        return "bad", said if faulty[0].path in said else f"{faulty[0].path}: {said}"
    if waits:
        return "behind", f"{roughly(max(1.0, status.lag_s))} behind the disk"
    if status.activity is not None and status.activity.phase == "walking":
        return "behind", "Looking at the disk"
    if loose:
        ago = loose[0].scanned_s_ago
        return "loose", "Not looked through yet" if ago is None else f"Last compared with the disk {roughly(ago)} ago"
    return "in-step", "In step with the disk"


def _button(act: str, word: str, *, path: str = "", title: str = "", sure: str = "") -> str:
    """With `sure`, a question that is asked before anything is done."""
    said = f' title="{escape(title, quote=True)}"' if title else ""
    said += f' data-sure="{escape(sure, quote=True)}"' if sure else ""
    of = f' data-path="{escape(path, quote=True)}"' if path else ""
    return f'<button type="button" class="lx-act" data-act="{act}"{of}{said}>{escape(word)}</button>'


def _totals(status: CollectionStatus) -> str:
    totals = status.totals
    pages, found = totals.get("pages_indexed", 0), totals.get("pages_total", 0)
    in_part = totals.get("partial", 0)
    parts = [
        f"{totals.get('indexed', 0):,} of {counted(totals.get('files', 0), 'file')} ready"
        + (f", {in_part:,} in part" if in_part else ""),
        counted(pages, "page") if pages == found else f"{pages:,} of {counted(found, 'page')}",
    ]
    embedded, chunks = totals.get("chunks_embedded", 0), totals.get("chunks", 0)
    if embedded < chunks:
        parts.append(f"found by meaning: {embedded:,} of {counted(chunks, 'passage')}, the others by their words")
    return " · ".join(parts)


def _folder(folder: FolderStatus) -> str:
    parts = [FOLDER_WORDS.get(folder.state, folder.state)]
    if folder.excluded:
        parts.append(f"{folder.excluded:,} left out by rules")
    if folder.message:
        parts.append(folder.message)
    rules = f"Rules: {', '.join(folder.rules)}" if folder.rules else "No rules but those built in"
    state = "missing" if folder.fault else folder.state
    sure = f"Take {folder.path} out of the index? The files on the disk are not touched."
    return (
        f'<li class="lx-folder" data-state="{escape(state, quote=True)}" title="{escape(rules, quote=True)}">'
        f'<span class="lx-folder-path">{escape(folder.path)}</span>'
        f'<span class="lx-folder-state">{escape(" · ".join(parts))} '
        f"{_button('forget', 'Remove', path=folder.path, sure=sure)}</span></li>"
    )


def _chips(status: CollectionStatus, wanted: Wanted) -> str:
    queue = status.queue
    counts = {**status.totals, "waiting": queue.waiting + queue.reading + queue.retrying}
    chips = [("", "all", status.totals.get("files", 0))]
    # One that is chosen stays to be un-chosen, though nothing is left of it.
    chips += [(state, word, counts.get(state, 0)) for state, word in CHIPS.items()]
    shown = [chip for chip in chips if not chip[0] or chip[2] or chip[0] == wanted.state]
    if len(shown) < 3:
        return ""
    return "".join(
        f'<button type="button" class="lx-chip" data-act="show" data-state="{state}" '
        f'aria-pressed="{str(state == (wanted.state or "")).lower()}">{word} <b>{count:,}</b></button>'
        for state, word, count in shown
    )


def _file(file: FileStatus, *, with_folder: bool) -> str:
    """`with_folder`: another folder has such a path, too."""
    absolute = f"{file.folder}/{file.path}" if file.folder else file.path
    path = PurePosixPath(absolute if with_folder else file.path)
    parent = f'<span class="lx-file-folder">{escape(str(path.parent))}/</span>' if path.parent.parts else ""
    reasons: Sequence[str | None] = (file.waiting.said if file.waiting else None, file.reason)
    reason = "".join(f'<span class="lx-file-reason">{escape(text)}</span>' for text in reasons if text)
    # Nothing is wrong with a file that holds nothing, and reading it again would find nothing.
    empty = file.state == "failed" and not file.size_bytes
    retry = _button("retry", "Retry", path=absolute) if file.state in RETRIED and not empty else ""
    state = "skipped" if empty else file.state
    word = escape("empty" if empty else STATE_WORDS.get(file.state, file.state))
    waiting = file.waiting.state if file.waiting else ""
    return (
        f'<li class="lx-file" data-state="{escape(state, quote=True)}" data-waiting="{waiting}" '
        f'title="{escape(str(path), quote=True)}">'
        f'<button type="button" class="lx-file-name lx-file-open" data-file="{escape(absolute, quote=True)}">{parent}'
        f'{escape(path.name)}</button><span class="lx-file-pages">{_pages(file)}</span>'
        f'<span class="lx-file-state">{word}{retry}</span>{reason}</li>'
    )


def _pages(file: FileStatus) -> str:
    if file.state == "indexed" and file.pages_indexed == file.pages_total:
        return counted(file.pages_total, "page")
    return f"{file.pages_indexed:,} of {counted(file.pages_total, 'page')}" if file.pages_total else ""
