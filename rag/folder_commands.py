"""The commands about folders and their files: mirror, follow, status, show, the queue, collections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ingest.events import Activity, FileDone, FolderState, InStep, MirrorFailed
from ingest.rules import DEFAULT_LINES, Rules
from models.cancellation import CancelToken
from rag.access import LOCAL_USER
from rag.appliance import DEFAULT_COLLECTION, Appliance
from rag.errors import BadInput, RagError
from rag.file_paths import as_stored
from rag.lookup import report_json
from rag.status import NO_FILES, CollectionStatus, FileStatus, status_json

Message = dict[str, object]
Arguments = dict[str, Any]
Command = Callable[[Appliance, Arguments, CancelToken], Iterator[Message]]

_CHANGES = ("read", "moved", "removed", "embedded")


class CommandFailed(RagError):
    """The command could not be done; the message says what, which value, and what to do."""

    code = "command_failed"


def rules_given(exclude: Sequence[str], include: Sequence[str]) -> list[str] | None:
    """The gitignore lines of `--exclude` and `--include`; None when there are none, so that the folder keeps its own.
    With `include`, files that match none of it are left out. Raises BadRule."""
    if not exclude and not include:
        return None
    only = ["*", "!*/", *(f"!{line}" for line in include), *DEFAULT_LINES] if include else []
    lines = [*only, *exclude]
    Rules(lines)
    return lines


def mirror(
    appliance: Appliance,
    folder: Path,
    collection: str,
    cancel: CancelToken,
    *,
    hidden: bool,
    rules: Sequence[str] | None = None,
) -> Iterator[Message]:
    """Progress until the folder is mirrored. Raises CommandFailed when it cannot be, or is stopped."""
    events = appliance.mirror(
        folder, identity=LOCAL_USER, collection=collection, hidden=hidden, rules=rules, cancel=cancel
    )
    for event in events:
        if isinstance(event, MirrorFailed):
            raise CommandFailed(event.message)
        if isinstance(event, Activity | FileDone):
            yield _progress(event)


def _ingest(appliance: Appliance, arguments: Arguments, cancel: CancelToken) -> Iterator[Message]:
    started = time.monotonic()
    folder, collection = Path(arguments["folder"]), _collection(arguments)
    if as_stored(str(folder)) != str(folder):
        raise BadInput(f"The path {as_stored(str(folder))} is not UTF-8, so it cannot be kept. Rename the folder.")
    rules = rules_given(arguments.get("exclude") or (), arguments.get("include") or ())
    yield from mirror(appliance, folder, collection, cancel, hidden=bool(arguments.get("hidden")), rules=rules)
    if not arguments.get("watch"):
        yield {"result": _status_of(appliance, collection, started)}
        return
    yield {"document": _status_of(appliance, collection, started)}
    yield from _follow(appliance, folder, collection, cancel)


def _follow(appliance: Appliance, folder: Path, collection: str, cancel: CancelToken) -> Iterator[Message]:
    """A document whenever something has changed and the folder is in step again; for ever."""
    for event in appliance.follow(folder, identity=LOCAL_USER, collection=collection, cancel=cancel):
        if isinstance(event, InStep):
            if any(event.counts.get(name) for name in _CHANGES):
                yield {"document": _status_of(appliance, collection, time.monotonic() - event.seconds)}
        elif isinstance(event, Activity | FileDone | FolderState):
            yield _progress(event)


def _status(appliance: Appliance, arguments: Arguments, _: CancelToken) -> Iterator[Message]:
    yield {"result": _status_of(appliance, _collection(arguments), time.monotonic())}


def _status_of(appliance: Appliance, collection: str, started: float) -> Message:
    status = appliance.status(identity=LOCAL_USER, collection=collection)
    return status_json(status, time.monotonic() - started)


def _show(appliance: Appliance, arguments: Arguments, _: CancelToken) -> Iterator[Message]:
    report = appliance.look_up(
        arguments["path"],
        identity=LOCAL_USER,
        collection=_collection(arguments),
        absolute=arguments.get("absolute"),
    )
    yield {"result": report_json(report)}


def _queue(appliance: Appliance, arguments: Arguments, _: CancelToken) -> Iterator[Message]:
    status = appliance.status(identity=LOCAL_USER, collection=_collection(arguments))
    files = [file for file in status.files if file.waiting or file.state in ("failed", "quarantined", "pending")]
    yield {"result": {**_queue_json(status), "files": [_queued_json(file) for file in files]}}


def _queue_pause(appliance: Appliance, arguments: Arguments, _: CancelToken) -> Iterator[Message]:
    yield from _pause(appliance, _collection(arguments), True)


def _queue_resume(appliance: Appliance, arguments: Arguments, _: CancelToken) -> Iterator[Message]:
    yield from _pause(appliance, _collection(arguments), False)


def _pause(appliance: Appliance, collection: str, paused: bool) -> Iterator[Message]:
    appliance.pause(paused, identity=LOCAL_USER, collection=collection)
    yield {"result": _queue_json(appliance.status(identity=LOCAL_USER, collection=collection, wanted=NO_FILES))}


def _queue_retry(appliance: Appliance, arguments: Arguments, _: CancelToken) -> Iterator[Message]:
    collection = _collection(arguments)
    retried = appliance.retry(arguments.get("path"), identity=LOCAL_USER, collection=collection)
    status = appliance.status(identity=LOCAL_USER, collection=collection, wanted=NO_FILES)
    yield {"result": {**_queue_json(status), "retried": retried}}


def _queue_json(status: CollectionStatus) -> Message:
    """`followed`: whether somebody works on it now."""
    followed = status.activity is not None or any(
        state.state in ("starting", "watching", "polling") for state in status.folder_states
    )
    return {"collection": status.collection, **asdict(status.queue), "lag_s": status.lag_s, "followed": followed}


def _queued_json(file: FileStatus) -> Message:
    """`state` is what is to become of it: waiting, reading or retrying; else the file's own."""
    waiting = file.waiting
    return {
        "path": file.path,
        "folder": file.folder,
        "state": waiting.state if waiting else file.state,
        "said": waiting.said if waiting else file.reason,
        "since_s": waiting.since_s if waiting else None,
        "attempts": waiting.attempts if waiting else None,
        "fault": waiting.fault if waiting else None,
        "next_try_s": waiting.next_try_s if waiting else None,
        "reason": file.reason,
        "version": file.version,
        "bytes": file.size_bytes,
    }


def _collection_list(appliance: Appliance, _: Arguments, __: CancelToken) -> Iterator[Message]:
    rows = []
    for name in appliance.collections(LOCAL_USER):
        status = appliance.status(identity=LOCAL_USER, collection=name, wanted=NO_FILES)
        rows.append({"collection": name, "folders": list(status.folders), "totals": status.totals})
    yield {"result": {"collections": rows}}


def _collection_remove(appliance: Appliance, arguments: Arguments, _: CancelToken) -> Iterator[Message]:
    appliance.remove_collection(arguments["name"], identity=LOCAL_USER)
    yield {"result": {"removed": arguments["name"]}}


def _collection_forget(appliance: Appliance, arguments: Arguments, _: CancelToken) -> Iterator[Message]:
    collection = _collection(arguments)
    appliance.forget_folder(Path(arguments["folder"]), identity=LOCAL_USER, collection=collection)
    yield {"result": {"forgotten": arguments["folder"], "collection": collection}}


def _collection(arguments: Arguments) -> str:
    return arguments.get("collection") or DEFAULT_COLLECTION


def _progress(event: Activity | FileDone | FolderState) -> Message:
    return {"progress": {"event": type(event).__name__, **asdict(event)}}


FOLDER_COMMANDS: dict[str, Command] = {
    "ingest": _ingest,
    "status": _status,
    "show": _show,
    "queue_list": _queue,
    "queue_pause": _queue_pause,
    "queue_resume": _queue_resume,
    "queue_retry": _queue_retry,
    "collection_list": _collection_list,
    "collection_remove": _collection_remove,
    "collection_forget": _collection_forget,
}
