"""The commands that need the data folder, run by its owner for itself or for another process.

Each is a generator of messages that are JSON: {"progress": …} on the way, {"text": …} as an answer streams, and
{"result": …} at the end, which is what `--json` prints; {"document": …} is one of several such results, of a command
that does not end by itself. Whoever called prints them; nothing is printed here.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import cast

from models.cancellation import CancelToken
from rag.access import LOCAL_USER
from rag.appliance import DEFAULT_COLLECTION, Appliance
from rag.errors import BadInput
from rag.evaluation import Outcome, QuestionSet, SetQuestion, load_set, percentile_ms, score
from rag.events import Answer, Done, EngineLost, Failed, Mode, Stage, Token
from rag.folder_commands import FOLDER_COMMANDS, Arguments, Command, CommandFailed, Message, mirror

_PROGRESS_EVERY = 10


def run_command(appliance: Appliance, name: str, arguments: Message, cancel: CancelToken) -> Iterator[Message]:
    """Run one of `COMMANDS`. Raises RagError and the error trees of the packages below."""
    if name not in COMMANDS:
        raise BadInput(f"There is no command {name!r}: the process that asked is of another version of Lectern.")
    yield from COMMANDS[name](appliance, arguments, cancel)


def _search(appliance: Appliance, arguments: Arguments, _: CancelToken) -> Iterator[Message]:
    passages, timings_ms = appliance.search(
        arguments["query"],
        identity=LOCAL_USER,
        collection=arguments.get("collection") or DEFAULT_COLLECTION,
        k=int(arguments.get("k", 10)),
    )
    result = {"query": arguments["query"], "passages": [asdict(p) for p in passages], "timings_ms": timings_ms}
    yield {"result": result}


def _ask(appliance: Appliance, arguments: Arguments, cancel: CancelToken) -> Iterator[Message]:
    events = appliance.answer(
        arguments["question"],
        identity=LOCAL_USER,
        collection=arguments.get("collection") or DEFAULT_COLLECTION,
        mode=arguments.get("mode"),
        model=arguments.get("model"),
        conversation=arguments.get("conversation"),
        cancel=cancel,
    )
    for event in events:
        if isinstance(event, Token):
            yield {"text": event.text}
        elif isinstance(event, Stage | EngineLost):
            yield {"progress": {"event": type(event).__name__, **asdict(event)}}
        elif isinstance(event, Failed):
            raise CommandFailed(event.message)
        elif isinstance(event, Done):
            yield {"result": answer_json(event.answer)}


def _begin_conversation(appliance: Appliance, arguments: Arguments, _: CancelToken) -> Iterator[Message]:
    collection = arguments.get("collection") or DEFAULT_COLLECTION
    yield {"result": {"conversation": appliance.new_conversation(LOCAL_USER, collection)}}


def _eval(appliance: Appliance, arguments: Arguments, cancel: CancelToken) -> Iterator[Message]:
    started = time.monotonic()
    k, limit, run_file = int(arguments.get("k", 10)), arguments.get("limit"), arguments.get("run_file")
    if k < 1 or (limit is not None and limit < 1):
        raise BadInput(f"-k {k} --limit {limit}: ask for at least one passage, and for at least one question.")
    if run_file and not Path(run_file).parent.is_dir():
        raise BadInput(f"The run file {run_file} cannot be written: make its folder first.")
    question_set = load_set(Path(arguments["set"]))
    collection = arguments.get("collection")
    if not collection:
        collection = collection_of(question_set)
        yield from mirror(appliance, question_set.documents, collection, cancel, hidden=True)
    ingested = time.monotonic()
    questions = question_set.questions[:limit]
    outcomes: list[Outcome] = []
    for question in questions:
        cancel.check()
        outcomes.append(_outcome(appliance, question, collection, k, arguments, cancel))
        if len(outcomes) % _PROGRESS_EVERY == 0:
            yield {"progress": {"event": "Evaluated", "done": len(outcomes), "total": len(questions)}}
    if run_file:
        lines = "".join(json.dumps(_run_line(outcome)) + "\n" for outcome in outcomes)
        Path(run_file).write_text(lines, encoding="utf-8")
    yield {
        "result": {
            "set": str(question_set.folder),
            "collection": collection,
            **score(outcomes, question_set.page_tolerance),
            "asked": len(outcomes),
            "retrieval_ms_p50": percentile_ms(outcomes, 0.5),
            "retrieval_ms_p95": percentile_ms(outcomes, 0.95),
            "ingest_s": round(ingested - started, 2),
            "seconds": round(time.monotonic() - started, 2),
        }
    }


def collection_of(question_set: QuestionSet) -> str:
    """The name of a set's own collection, by the absolute path of its documents."""
    digest = hashlib.sha256(str(question_set.documents).encode()).hexdigest()[:8]
    return f"eval-{question_set.folder.name}-{digest}"


def _outcome(
    appliance: Appliance,
    question: SetQuestion,
    collection: str,
    k: int,
    arguments: Arguments,
    cancel: CancelToken,
) -> Outcome:
    passages, timings_ms = appliance.search(
        question.text, identity=LOCAL_USER, collection=collection, k=k, history=question.history
    )
    answer = None
    if arguments.get("answers"):
        events = appliance.answer(
            question.text,
            identity=LOCAL_USER,
            collection=collection,
            mode=cast("Mode | None", arguments.get("mode")),
            model=arguments.get("model"),
            history=question.history,
            cancel=cancel,
        )
        for event in events:
            if isinstance(event, Failed):
                raise CommandFailed(event.message)
            if isinstance(event, Done):
                answer = event.answer
    return Outcome(question, tuple(passages), timings_ms, answer)


def _run_line(outcome: Outcome) -> Message:
    """A line of the run file; the passages are always there, also when the answer is a refusal."""
    answer = outcome.answer
    return {
        "id": outcome.question.id,
        "passages": [asdict(passage) for passage in outcome.passages],
        "answer": answer.text if answer else None,
        "refused": answer.refused if answer else None,
        "confidence": answer.confidence if answer else None,
        "citations": [asdict(citation) for citation in answer.citations] if answer else [],
        "timings_ms": answer.timings_ms if answer else outcome.timings_ms,
    }


def answer_json(answer: Answer) -> Message:
    """The shape of `ask --json`."""
    fields = asdict(answer)
    return {"question": fields.pop("question"), "answer": fields.pop("text"), **fields}


COMMANDS: dict[str, Command] = {
    **FOLDER_COMMANDS,
    "search": _search,
    "ask": _ask,
    "begin_conversation": _begin_conversation,
    "eval": _eval,
}
