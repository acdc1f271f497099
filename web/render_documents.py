"""The documents' side of the page as HTML: each file's state and reason, and how far reading has come."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import PurePosixPath

from ingest.events import Activity
from rag.status import CollectionStatus, FileStatus
from web.render import counted, duration

# What needs a person comes first, then what is under way; within each, by path.
ATTENTION = {"quarantined": 0, "failed": 1, "partial": 2, "pending": 3, "skipped": 4, "indexed": 5}
STATE_WORDS = {
    "indexed": "ready",
    "partial": "read in part",
    "skipped": "skipped",
    "failed": "could not be read",
    "quarantined": "set aside: it broke the reader",
    "pending": "waiting",
}
PHASES = {"walking": "Looking for files", "reading": "Reading", "embedding": "Indexing"}
ROWS_SHOWN = 200
LAG_WORTH_SAYING_S = 60.0


def render_documents(status: CollectionStatus) -> str:
    if not status.folders and not status.files:
        return (
            '<div class="lx-empty"><p><strong>No documents yet.</strong></p><p>Type the path of a folder below and '
            "press Add. Lectern reads it where it is; add it again to have its changes read.</p></div>"
        )
    folders = "".join(f'<li title="{escape(folder, quote=True)}">{escape(folder)}</li>' for folder in status.folders)
    return (
        f'{_activity(status.activity)}<p class="lx-totals">{_totals(status)}</p>'
        f'<ul class="lx-folders" aria-label="Folders">{folders}</ul>{_files(status.files)}'
    )


def render_problem(message: str) -> str:
    return f'<p class="lx-problem" role="alert">{escape(message)}</p>'


def _activity(activity: Activity | None) -> str:
    if activity is None:
        return ""
    done, total = _progress(activity)
    phase = escape(PHASES.get(activity.phase, activity.phase))
    files = f"{activity.files_done:,} of {counted(activity.files_total, 'file')}"
    current = escape(activity.current_file or "", quote=True)
    return (
        f'<div class="lx-activity"><div class="lx-activity-head"><span>{phase} · {files}</span>'
        f"<span>{f'{done / total:.0%}' if total else ''}</span></div>{_bar(done, total)}"
        f'<div class="lx-activity-foot"><span class="lx-current" title="{current}">{current}</span>'
        f"<span>{_time_left(activity)}</span></div>"
        '<button type="button" class="lx-stop-reading">Stop reading</button></div>'
    )


def _bar(done: int, total: int) -> str:
    amount = f' max="{total}" value="{done}"' if total else ""
    return f'<progress{amount} aria-label="Reading documents"></progress>'


def _time_left(activity: Activity) -> str:
    if activity.eta_s is None:
        return ""
    return f"about {duration(max(1, round(activity.eta_s)) * 1000).replace('.0 s', ' s')} left"


def _progress(activity: Activity) -> tuple[int, int]:
    """Done and total by files or by chunks, whichever is further from the end: files differ in size, and while files
    are still read, the chunks known so far are not all."""
    counts = (
        (activity.files_done, activity.files_total),
        (activity.chunks_embedded, activity.chunks_total),
    )
    known = [(min(done, total), total) for done, total in counts if total]
    return min(known, key=lambda count: count[0] / count[1], default=(0, 0))


def _totals(status: CollectionStatus) -> str:
    ready = sum(file.state in ("indexed", "partial") for file in status.files)
    pages = sum(file.pages_indexed for file in status.files)
    parts = [f"{ready:,} of {counted(len(status.files), 'file')} ready", counted(pages, "page")]
    if status.lag_s >= LAG_WORTH_SAYING_S:
        parts.append(f"compared with the disk {duration(status.lag_s * 1000)} ago")
    return " · ".join(parts)


def _files(files: Sequence[FileStatus]) -> str:
    ordered = sorted(files, key=lambda file: (ATTENTION.get(file.state, 0), file.path))
    rows = "".join(_file(file) for file in ordered[:ROWS_SHOWN])
    hidden = len(ordered) - ROWS_SHOWN
    more = f'<p class="lx-hint">and {counted(hidden, "more file")}</p>' if hidden > 0 else ""
    return f'<ul class="lx-files" aria-label="Files">{rows}</ul>{more}'


def _file(file: FileStatus) -> str:
    path = PurePosixPath(file.path)
    folder = f'<span class="lx-file-folder">{escape(str(path.parent))}/</span>' if path.parent.parts else ""
    reason = f'<span class="lx-file-reason">{escape(file.reason)}</span>' if file.reason else ""
    state = STATE_WORDS.get(file.state, file.state)
    return (
        f'<li class="lx-file" data-state="{escape(file.state, quote=True)}" title="{escape(file.path, quote=True)}">'
        f'<span class="lx-file-name">{folder}{escape(path.name)}</span>'
        f'<span class="lx-file-pages">{_pages(file)}</span>'
        f'<span class="lx-file-state">{escape(state)}</span>{reason}</li>'
    )


def _pages(file: FileStatus) -> str:
    if file.state == "indexed" and file.pages_indexed == file.pages_total:
        return counted(file.pages_total, "page")
    return f"{file.pages_indexed:,} of {counted(file.pages_total, 'page')}" if file.pages_total else ""
