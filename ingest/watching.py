"""Follows one folder: says which of its files have changed, once they are whole."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from ingest.errors import BadRule, FolderMissing
from ingest.folder_events import CannotWatch, FolderEvents, NoEvents, open_events
from ingest.mounts import remote_kind
from ingest.rules import RULES_FILE, Rules
from ingest.settling import Settling
from ingest.walk import Found, identity_of, is_text, plain_path, walk

_log = logging.getLogger(__name__)

LOCAL_RESCAN_S = 900.0
POLLING_RESCAN_S = 60.0
CHECK_S = 1.0  # whether the folder is still the same one, and the rules
MISSING_S = 2.0
REPORT_S = 0.25  # between two reports, so that ten thousand new files come in batches
GATHER_S = 0.03
NAMELESS_S = 60.0  # between two looks for files whose names nobody can tell
JOIN_S = 10.0

State = Literal["starting", "watching", "polling", "missing"]


class Watcher:
    """Calls `changed` from a thread of its own with paths below the folder that have changed and are no longer being
    written, or with None when the whole folder has to be looked at: at the start, when events were lost, when the
    rules changed, at each periodic rescan, and when the folder has come back.

    A path may be a file, a folder, or a name that is gone. Moved files and folders are reported by both names. What
    `hidden` and the rules leave out is not reported. A rescan may see a file before it is whole: who
    reads it asks whether a program has it open for writing.
    """

    def __init__(
        self,
        folder: Path,
        changed: Callable[[frozenset[str] | None], None],
        *,
        hidden: bool,
        rules: Callable[[], Rules],
        settle_s: float = 0.4,
        rescan_s: float | None = None,
        open_events: Callable[[Path, Callable[[str], bool]], FolderEvents] = open_events,
    ) -> None:
        """`rules` is asked every second; while it raises BadRule the earlier ones hold. `rescan_s` None: 900 s where
        the system tells of changes, else 60 s. The folder need not be there yet."""
        self.state: State = "starting"
        self.message: str | None = None
        self._folder = plain_path(folder)
        self._changed = changed
        self._hidden = hidden
        self._ask_rules = rules
        self._rules = Rules()
        self._rescan_s = rescan_s
        self._open_events = open_events
        self._settling = Settling(self._folder, self._below, settle_s=settle_s)
        # Folders in which something changed whose name is not UTF-8: such a file is only ever listed as not read.
        self._nameless: set[str] = set()
        self._nameless_after = 0.0
        self._device: str | None = None
        self._closing = threading.Event()
        self._events: FolderEvents | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch {self._folder.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No call of `changed` begins after this. It waits for one that runs, unless a dead drive holds the thread."""
        self._closing.set()
        if (events := self._events) is not None:
            events.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._follow()
            except FolderMissing as exc:
                self._show("missing", str(exc))
                self._closing.wait(MISSING_S)
            except Exception as exc:
                # A thread that ended here would end the mirror without a word.
                _log.exception("watching %s failed; it begins anew", self._folder)
                self._show("polling", f"watching failed and begins anew: {exc}")
                self._closing.wait(MISSING_S)

    def _follow(self) -> None:
        """Watch, have everything looked at, and report until the watch has to be begun anew."""
        identity = self._present()
        self._refresh_rules()
        events, state, message = self._begin()
        self._events = events
        try:
            self._show(state, message)
            self._tell(None)
            self._report(events, identity, polling=state == "polling")
        finally:
            self._events = None
            events.close()

    def _begin(self) -> tuple[FolderEvents, State, str | None]:
        remote = remote_kind(self._folder)
        every = self._rescan_s or POLLING_RESCAN_S
        message = None
        if remote:
            message = f"a network drive ({remote}): what other machines change is seen at a look every {every:g} s"
        try:
            return self._open_events(self._folder, self._follows), "polling" if remote else "watching", message
        except CannotWatch as exc:
            return NoEvents(), "polling", message or f"no events: {exc}. The folder is looked at every {every:g} s"

    def _report(self, events: FolderEvents, identity: str, *, polling: bool) -> None:
        now = time.monotonic()
        rescan = now + (self._rescan_s or (POLLING_RESCAN_S if polling else LOCAL_RESCAN_S))
        check, quiet_until = now + CHECK_S, now
        while not self._closing.is_set():
            look = self._settling.next_look
            happened = events.wait(min(check, rescan, *([max(look, quiet_until)] if look is not None else [])) - now)
            if self._closing.wait(GATHER_S if happened.paths else 0):
                return
            if happened.lost or "" in happened.paths or RULES_FILE in happened.paths:
                return
            self._note(happened.paths)
            now = time.monotonic()
            self._look_for_nameless(now)
            if now >= check:
                check = now + CHECK_S
                if self._present() != identity or self._refresh_rules():
                    return
            if now >= rescan:
                return  # begun anew, since what hindered the watch may have passed
            if now >= quiet_until and (ready := self._settling.ready()):
                self._tell(ready)
                now = time.monotonic()
                quiet_until = now + REPORT_S

    def _note(self, paths: frozenset[str]) -> None:
        concerning = [path for path in paths if self._concerns(path)]
        self._settling.note(path for path in concerning if is_text(path))
        self._nameless.update(_nearest_text(path) for path in concerning if not is_text(path))

    def _look_for_nameless(self, now: float) -> None:
        """A name that is not UTF-8 can only be told by its folder, and a program may write to it all day."""
        if not self._nameless or now < self._nameless_after:
            return
        self._nameless_after = now + NAMELESS_S
        folders, self._nameless = self._nameless, set()
        if "" in folders:
            self._tell(None)
        else:
            self._settling.note(folders)

    def _present(self) -> str:
        """Which folder it is. Raises FolderMissing, also for the empty mount point that an unplugged disk leaves."""
        identity = identity_of(self._folder)
        device = identity.partition(":")[0]
        if self._device not in (None, device) and not any(self._folder.iterdir()):
            raise FolderMissing(f"{self._folder} is empty and on another disk than before. Is its disk plugged in?")
        self._device = device
        return identity

    def _refresh_rules(self) -> bool:
        """Whether they have changed."""
        try:
            rules = self._ask_rules()
        except BadRule:
            return False  # whoever reads the folder next tells of it
        changed = rules.lines != self._rules.lines
        self._rules = rules
        return changed

    def _below(self, path: str) -> Iterator[Found]:
        return walk(self._folder, hidden=self._hidden, rules=self._rules, below=path)

    def _follows(self, folder: str) -> bool:
        if not self._hidden and folder.rpartition("/")[2].startswith("."):
            return False
        return self._rules.left_out_by(folder, is_folder=True) is None

    def _concerns(self, path: str) -> bool:
        """A name that is gone may have been a file or a folder."""
        if not self._hidden and any(name.startswith(".") for name in path.split("/")):
            return False
        return self._rules.rule_for(path) is None or self._rules.left_out_by(path, is_folder=True) is None

    def _tell(self, paths: frozenset[str] | None) -> None:
        if not self._closing.is_set():
            self._changed(paths)

    def _show(self, state: State, message: str | None) -> None:
        if (state, message) != (self.state, self.message):
            _log.info("%s: %s%s", self._folder, state, f" ({message})" if message else "")
        self.state, self.message = state, message


def _nearest_text(path: str) -> str:
    """The folder above it that has a name."""
    while not is_text(path):
        path = path.rpartition("/")[0]
    return path
