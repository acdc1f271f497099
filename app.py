"""Lectern's command line: reads arguments and settings, builds the appliance, runs a command.

Nothing heavy is imported before a command needs it, so `--help` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

Message = dict[str, object]
DEFAULT_COMMAND = "serve"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 could not be done, 2 wrong usage."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = build_parser()
    options = parser.parse_args(_with_default_command(given))
    from rag.failures import explain

    try:
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 1
    except BrokenPipeError:
        import os

        # Whoever read our output has gone; without this, Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as exc:  # the edge of the program: known errors become a sentence, unknown ones stay loud
        message = explain(exc)
        if message is None:
            raise
        print(f"lectern: {message}", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="Chat with a folder of documents, offline; every sentence shows the page it stands on.",
        epilog="Without a command: serve.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    serve = _add(commands, "serve", _serve, "start the page and the API")
    serve.add_argument("--docs", type=Path, metavar="FOLDER", help="mirror this folder")
    serve.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on (default: 7860)")

    ingest = _add(commands, "ingest", _ingest, "mirror a folder into a collection")
    ingest.add_argument("folder", type=Path, metavar="FOLDER")
    ingest.add_argument("--watch", action="store_true", help="go on following the folder until Ctrl-C")
    for name, summary in (
        ("--exclude", "leave out what LINE matches, as in a gitignore file"),
        ("--include", "only that"),
    ):
        ingest.add_argument(name, action="append", metavar="LINE", help=f"{summary}; may be repeated")
    ingest.add_argument("--hidden", action="store_true", help="read names that begin with a dot, too")
    _takes_collection(ingest)

    _takes_collection(_add(commands, "status", _simple("status"), "each file: its state, and the reason if not read"))

    queue = _add(commands, "queue", _queue, "files that wait to be read, or could not be; pause, resume, retry")
    queue.add_argument("action", nargs="?", choices=("list", "pause", "resume", "retry"), default="list")
    queue.add_argument(
        "path", nargs="?", metavar="PATH", help="retry: this file; without it, all that failed or were set aside"
    )
    _takes_collection(queue)

    show = _add(commands, "show", _show, "what was read of one file, and why it can or cannot be found")
    show.add_argument("path", metavar="PATH", help="relative to its folder, or absolute")
    _takes_collection(show)

    search = _add(commands, "search", _simple("search"), "the passages nearest to a query")
    search.add_argument("query", metavar="QUERY")
    search.add_argument("-k", type=_positive, default=10, help="how many passages (default: 10)")
    _takes_collection(search)

    ask = _add(commands, "ask", _simple("ask"), "a cited answer to one question")
    ask.add_argument("question", metavar="QUESTION")
    _takes_answering(ask)

    _takes_answering(_add(commands, "chat", _chat, "a conversation at the terminal", json=False))

    evaluate = _add(commands, "eval", _eval, "measure retrieval and answers on a question set")
    evaluate.add_argument("set", type=Path, metavar="SET", help="a folder with docs/ and questions.jsonl")
    evaluate.add_argument("-k", type=_positive, default=10, help="passages a question (default: 10)")
    evaluate.add_argument("--answers", action="store_true", help="answer each question, too")
    evaluate.add_argument("--limit", type=_positive, metavar="N", help="only the first N questions")
    evaluate.add_argument("--run-file", type=Path, metavar="F", help="write a JSON line for each question there")
    _takes_answering(evaluate)

    _add_models(commands)
    _add(commands, "doctor", _doctor, "check this machine and this installation")

    collection = _add(commands, "collection", _collection, "list and remove collections, forget folders")
    collection.add_argument("action", choices=("list", "remove", "forget"))
    collection.add_argument("subject", nargs="?", metavar="NAME|FOLDER")
    _takes_collection(collection)
    return parser


def _add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    models = commands.add_parser("models", help="the models of the catalog", description="The models of the catalog.")
    actions = models.add_subparsers(metavar="ACTION", dest="action", required=True)
    _add(actions, "list", _models, "what the catalog has, and what is in the cache")

    plan = _add(actions, "plan", _plan, "which language models run on this machine, and the memory they take")
    plan.add_argument("name", nargs="?", metavar="NAME", help="a model or a family; without it, all of them")
    plan.add_argument("--gpu", metavar="CARDS", help="other cards than this machine's: 4090, 'a100 80gb', 2x4090, none")
    plan.add_argument("--context", type=_positive, metavar="TOKENS", help="how long prompt and answer are together")
    plan.add_argument("--concurrency", type=_positive, metavar="N", help="for how many answers at a time")
    plan.add_argument(
        "--engine-config", type=Path, metavar="FILE", help="write the plan there, for a `trtllm-serve` elsewhere"
    )

    for action, summary in (("pull", "fetch a model into the cache"), ("verify", "hash every file again")):
        command = _add(actions, action, _models, summary)
        command.add_argument(
            "name", nargs="?", metavar="NAME", help="a model; without it, the embedded or installed ones"
        )


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    *,
    json: bool = True,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary[:1].upper() + summary[1:] + ".")
    command.set_defaults(run=run)
    if json:
        command.add_argument("--json", action="store_true", help="print one JSON document")
    return command


def _takes_collection(command: argparse.ArgumentParser) -> None:
    command.add_argument("--collection", metavar="C", help="instead of the default collection")


def _takes_answering(command: argparse.ArgumentParser) -> None:
    _takes_collection(command)
    command.add_argument("--mode", choices=("quote", "generate"), help="quote the documents, or have the model write")
    command.add_argument("--model", metavar="M", help="the model that answers")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 upwards")
    return number


def _with_default_command(arguments: list[str]) -> list[str]:
    asks_for_help = arguments[:1] in (["-h"], ["--help"])
    names_command = bool(arguments) and not arguments[0].startswith("-")
    return arguments if asks_for_help or names_command else [DEFAULT_COMMAND, *arguments]


def _simple(command: str) -> Callable[[argparse.Namespace], int]:
    """A command that is one request to the owner of the data folder, and its result."""

    def run(options: argparse.Namespace) -> int:
        arguments = {name: value for name, value in vars(options).items() if name not in ("run", "json")}
        return _print(command, _request(command, arguments), options)

    return run


def _request(command: str, arguments: Message) -> Iterator[Message]:
    from rag.session import request
    from rag.settings import load_settings

    return request(load_settings(), command, arguments)


def _print(command: str, messages: Iterator[Message], options: argparse.Namespace) -> int:
    from web.terminal import print_messages

    return print_messages(command, messages, as_json=options.json)


def _serve(options: argparse.Namespace) -> int:
    from rag.settings import load_settings
    from web.serving import serve

    given = {name: value for name in ("host", "port") if (value := getattr(options, name)) is not None}
    serve(load_settings(**given), options.docs, as_json=options.json)
    return 0


def _ingest(options: argparse.Namespace) -> int:
    names = ("collection", "hidden", "exclude", "include", "watch")
    arguments: Message = {"folder": _absolute(options.folder), **{name: getattr(options, name) for name in names}}
    try:
        return _print("ingest", _request("ingest", arguments), options)
    except KeyboardInterrupt:
        if options.watch:
            return 0  # this is how following ends
        raise


def _show(options: argparse.Namespace) -> int:
    # The owner, who looks, has another current folder.
    arguments: Message = {"path": options.path, "absolute": _absolute(options.path), "collection": options.collection}
    return _print("show", _request("show", arguments), options)


def _absolute(path: str | Path) -> str:
    """One spelling: without `~` where that names a home, without `..`."""
    import os

    return os.path.abspath(os.path.expanduser(path))


def _queue(options: argparse.Namespace) -> int:
    if options.path and options.action != "retry":
        print(f"lectern: queue {options.action} takes no path.", file=sys.stderr)
        return 2
    arguments: Message = {"path": options.path, "collection": options.collection}
    return _print("queue", _request(f"queue_{options.action}", arguments), options)


def _chat(options: argparse.Namespace) -> int:
    from rag.session import session
    from rag.settings import load_settings
    from web.terminal import converse

    answering = {"collection": options.collection, "mode": options.mode, "model": options.model}
    with session(load_settings()) as request:
        return converse(request, answering)


def _eval(options: argparse.Namespace) -> int:
    arguments = {name: value for name, value in vars(options).items() if name not in ("run", "json")}
    arguments |= {name: _absolute(path) for name, path in arguments.items() if isinstance(path, Path)}
    return _print("eval", _request("eval", arguments), options)


def _models(options: argparse.Namespace) -> int:
    from rag.settings import load_settings
    from web.model_commands import run_models

    name = getattr(options, "name", None)
    return run_models(options.action, name, load_settings().cache, as_json=options.json)


def _plan(options: argparse.Namespace) -> int:
    from rag.settings import load_settings
    from web.model_plan import Asked, make_plan, plan_models

    settings, asked = load_settings(), Asked(options.gpu, options.context, options.concurrency)
    if options.engine_config:
        from web.engine_file import write_engine_file

        write_engine_file(make_plan(options.name, settings, asked), options.engine_config)
    return plan_models(options.name, settings, asked, as_json=options.json)


def _doctor(options: argparse.Namespace) -> int:
    from rag.doctor import examine
    from rag.settings import load_settings
    from web.terminal import print_findings

    return print_findings(examine(load_settings()), as_json=options.json)


def _collection(options: argparse.Namespace) -> int:
    subject = options.subject
    if options.action != "list" and not subject:
        what = "the NAME of a collection" if options.action == "remove" else "a FOLDER"
        print(f"lectern: collection {options.action} needs {what}.", file=sys.stderr)
        return 2
    # The owner, who may do it, has another current folder.
    folder = _absolute(subject) if subject else None
    arguments: Message = {"name": subject, "folder": folder, "collection": options.collection}
    return _print("collection", _request(f"collection_{options.action}", arguments), options)


if __name__ == "__main__":
    sys.exit(main())
