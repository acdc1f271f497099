"""What the page does when a person acts: one method for each act, in terms of what is shown, not of Gradio's parts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import IngestError
from ingest.rules import Rules
from models.cancellation import Cancelled, CancelToken
from models.errors import ModelError
from rag.appliance import Appliance
from rag.errors import RagError
from rag.events import Event, Failed, Mode, Token
from rag.status import NO_FILES, Wanted
from web.render import render_conversations, render_turn, render_turns, render_welcome
from web.render_documents import ROWS_SHOWN, render_documents, render_files, render_problem
from web.render_machine import render_machine
from web.runs import Runs
from web.sign_in import signed_in
from web.turn import CANCELLED, Turn

# Words come faster than a page need be painted.
FRAME_S = 0.06
TICK_BUSY_S = 1.0
TICK_IDLE_S = 4.0

OWN_COLLECTIONS = "eval-"


@dataclass(frozen=True)
class Screen:
    """What changes on the page; None leaves a part as it is."""

    turns: str | None = None
    running: str | None = None
    conversations: str | None = None
    conversation: str | None = None
    busy: bool | None = None


@dataclass(frozen=True)
class Documents:
    """The documents' panel, its list of files, and after how many seconds to look again."""

    html: str
    files: str
    next_look_s: float


class Handlers:
    def __init__(self, appliance: Appliance, runs: Runs) -> None:
        self._appliance = appliance
        self._runs = runs

    def open(self, conversation: str, collection: str) -> Screen:
        """Show a conversation by its id; an empty or unknown id (an old bookmark) gives the first page of a new one."""
        identity = signed_in()
        try:
            answers = self._appliance.conversation(conversation, identity=identity) if conversation else []
        except RagError:
            answers, conversation = [], ""
        conversations = self._appliance.conversations(identity)
        return Screen(
            turns=render_turns(answers, conversation),
            running="" if answers else self._welcome(collection),
            conversations=render_conversations(conversations, conversation),
            conversation=conversation,
            busy=False,
        )

    def _welcome(self, collection: str) -> str:
        try:
            status = self._appliance.status(identity=signed_in(), collection=collection, wanted=NO_FILES)
        except RagError:
            return render_welcome(has_documents=False)
        return render_welcome(has_documents=bool(status.totals.get("files")))

    def ask(self, question: str, conversation: str, collection: str, mode: Mode | None, tab: str) -> Iterator[Screen]:
        """Show the answer as it is made, then with the turns before it. A failure or a stop stays on the page, and is
        no part of the conversation."""
        question = question.strip()
        if not question:
            return
        cancel = self._runs.begin(tab)
        try:
            turn = Turn(question, running_since_s=time.monotonic())
            yield Screen(running=render_turn(turn), busy=True)
            conversation = conversation or self._appliance.new_conversation(signed_in(), collection)
            for step in self._turns(turn, conversation, collection, mode, cancel):
                turn = step
                yield Screen(running=render_turn(turn))
            # What was overtaken by another question of the same tab must not be drawn over that one.
            if self._runs.is_current(tab, cancel):
                yield self._finished(turn, conversation)
        finally:
            self._runs.end(tab, cancel)

    def _turns(
        self, turn: Turn, conversation: str, collection: str, mode: Mode | None, cancel: CancelToken
    ) -> Iterator[Turn]:
        painted_s = -FRAME_S
        for event in self._events(turn.question, conversation, collection, mode, cancel):
            now_s = time.monotonic()
            turn = turn.after(event, now_s)
            if isinstance(event, Token):
                if now_s - painted_s < FRAME_S:
                    continue
                painted_s = now_s
            yield turn

    def _events(
        self, question: str, conversation: str, collection: str, mode: Mode | None, cancel: CancelToken
    ) -> Iterator[Event]:
        """The appliance's events; what it raises becomes a `Failed`, so that the page always ends in a state."""
        try:
            yield from self._appliance.answer(
                question,
                identity=signed_in(),
                collection=collection,
                mode=mode,
                conversation=conversation,
                cancel=cancel,
            )
        except Cancelled:
            yield Failed(CANCELLED, "Stopped.")
        except (RagError, ModelError) as error:
            yield Failed("failed", str(error))

    def _finished(self, turn: Turn, conversation: str) -> Screen:
        if turn.answer is None:
            return Screen(running=render_turn(turn), conversation=conversation, busy=False)
        identity = signed_in()
        return Screen(
            turns=render_turns(self._appliance.conversation(conversation, identity=identity), conversation),
            running="",
            conversations=render_conversations(self._appliance.conversations(identity), conversation),
            conversation=conversation,
            busy=False,
        )

    def stop(self, tab: str) -> None:
        self._runs.stop(tab)

    def collections(self) -> list[str]:
        """Those that people ask; what `eval` made for itself is left out."""
        return [name for name in self._appliance.collections(signed_in()) if not name.startswith(OWN_COLLECTIONS)]

    def machine(self) -> str:
        """The device panel as it is now."""
        try:
            return render_machine(self._appliance.machine())
        except (RagError, ModelError) as error:
            return render_problem(str(error))

    def look(self, collection: str, state: str, name: str) -> Documents:
        """The documents' panel as it is now; the files of that state, all with "", with `name` in their path."""
        wanted = Wanted(ROWS_SHOWN, state or None, name.strip())
        try:
            status = self._appliance.status(identity=signed_in(), collection=collection, wanted=wanted)
        except RagError as error:
            return Documents(render_problem(str(error)), "", TICK_IDLE_S)
        busy = status.activity is not None or status.queue.waiting or status.queue.reading
        return Documents(render_documents(status), render_files(status, wanted), TICK_BUSY_S if busy else TICK_IDLE_S)

    def add_folder(self, folder: str, rules: str, collection: str) -> str:
        """Begin to mirror a folder, by these gitignore lines; HTML that says what is wrong with it, or nothing."""
        if not folder.strip():
            return render_problem("Type the full path of a folder on this machine.")
        path, lines = Path(os.path.expanduser(folder.strip())), rules.splitlines() if rules.strip() else None
        if not path.is_absolute():
            return render_problem(f"{path} is not a full path: type it from its beginning, as in /home/me/papers.")
        try:
            Rules(lines or ())
            self._appliance.add_folder(path, identity=signed_in(), collection=collection, rules=lines)
        except (RagError, IngestError) as error:
            return render_problem(str(error))
        return ""

    def act(self, act: str, path: str, collection: str) -> str:
        """Pause or resume the reading, have a file (all that failed, without a path) read again, or take a folder out;
        HTML that says what is wrong with that, or nothing."""
        identity = signed_in()
        try:
            if act in ("pause", "resume"):
                self._appliance.pause(act == "pause", identity=identity, collection=collection)
            elif act == "retry":
                self._appliance.retry(path or None, identity=identity, collection=collection)
            elif act == "forget":
                self._appliance.forget_folder(Path(path), identity=identity, collection=collection)
        except RagError as error:
            return render_problem(str(error))
        return ""
