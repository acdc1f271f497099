"""What is being done for a folder now, as HTML: how far it is, how fast it goes, how long it will take."""

from __future__ import annotations

from html import escape

from ingest.events import Activity
from rag.durations import roughly
from web.render import counted

PHASES = {"walking": "Looking for files", "reading": "Reading", "embedding": "Indexing meaning"}
KIBIBYTE, MEBIBYTE = 1 << 10, 1 << 20


def render_activity(activity: Activity | None) -> str:
    if activity is None:
        return ""
    done, total = _progress(activity)
    phase = escape(PHASES.get(activity.phase, activity.phase))
    files = f" · {activity.files_done:,} of {counted(activity.files_total, 'file')}" if activity.files_total else ""
    current = escape(activity.current_file or "", quote=True)
    return (
        f'<div class="lx-activity"><div class="lx-activity-head"><span>{phase}{files}</span>'
        f"<span>{f'{done / total:.0%}' if total else ''}</span></div>{_bar(done, total)}"
        f'<p class="lx-activity-foot">{escape(_rates(activity))}</p>'
        f'<p class="lx-activity-foot lx-current" title="{current}">{current}</p></div>'
    )


def _bar(done: int, total: int) -> str:
    amount = f' max="{total}" value="{done}"' if total else ""
    return f'<progress{amount} aria-label="Reading documents"></progress>'


def _rates(activity: Activity) -> str:
    parts = [
        f"{activity.pages_per_s:g} pages/s" if activity.pages_per_s else "",
        f"{activity.chunks_per_s:g} passages/s" if activity.chunks_per_s else "",
        _amount(activity.bytes_done, activity.bytes_total) if activity.bytes_total else "",
        _time_left(activity),
    ]
    return " · ".join(part for part in parts if part)


def _amount(done: int, total: int) -> str:
    if total < MEBIBYTE:
        return f"{done / KIBIBYTE:,.1f} of {total / KIBIBYTE:,.1f} KB"
    return f"{done / MEBIBYTE:,.1f} of {total / MEBIBYTE:,.1f} MB"


def _time_left(activity: Activity) -> str:
    if activity.eta_s is None:
        return ""
    return f"about {roughly(max(1.0, activity.eta_s))} left"


def _progress(activity: Activity) -> tuple[int, int]:
    """Done and total by files or by chunks, whichever is further from the end: files differ in size, and while files
    are still read, the chunks known so far are not all."""
    counts = (
        (activity.files_done, activity.files_total),
        (activity.chunks_embedded, activity.chunks_total),
    )
    known = [(min(done, total), total) for done, total in counts if total]
    return min(known, key=lambda count: count[0] / count[1], default=(0, 0))
