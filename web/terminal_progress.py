"""Progress at a terminal: bars on standard error while something runs, and lines for what a person should know."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from rag.durations import roughly

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Message = dict[str, Any]


class ProgressView:
    """Turns progress messages into bars, where `console` is a terminal: files read, chunks embedded, questions
    evaluated. After `end` the next message begins anew."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> ProgressView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def show(self, event: Any) -> None:
        if event["event"] == "FileDone" and event["state"] not in ("indexed", "partial"):
            self._console.print(f"{event['state']}: {event['path']}: {event['reason']}", style="yellow", markup=False)
        elif event["event"] == "FolderState" and event["message"]:
            self._console.print(f"{event['state']}: {event['message']}", style="yellow", markup=False)
        elif event["event"] == "EngineLost" and event["next"] == "engine":  # else a note of the answer says it
            self._console.print(f"\n{event['message']}", style="yellow", markup=False)
        elif event["event"] == "Activity":
            self._bar("files", _reading(event), event["files_done"], event["files_total"])
            self._bar("chunks", _embedding(event), event["chunks_embedded"], event["chunks_total"])
        elif event["event"] == "Evaluated":
            self._bar("questions", "questions", event["done"], event["total"])

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._tasks = None, {}

    def _bar(self, name: str, description: str, done: int, total: int) -> None:
        if not self._console.is_terminal:
            return
        if self._progress is None:
            self._progress = _bars(self._console)
            self._progress.start()
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(description, total=total)
        self._progress.update(self._tasks[name], description=description, completed=done, total=total)


def _reading(event: Message) -> str:
    current = f" {event['current_file']}" if event["current_file"] else ""
    return f"{event['phase']}{current}"[:50] + f" · {event['pages_per_s']:g} pages/s"


def _embedding(event: Message) -> str:
    eta = f" · {roughly(event['eta_s'])} left" if event["eta_s"] is not None else ""
    return f"embedded chunks · {event['chunks_per_s']:g}/s{eta}"


def _bars(console: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
    )
