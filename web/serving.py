"""The `serve` command: own the data folder, say what was chosen, open the page, keep all folders in step."""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from pathlib import Path

from rag.access import LOCAL_USER
from rag.appliance import Appliance
from rag.errors import BadInput, OwnerBusy
from rag.ownership import Ownership, own_or_call
from rag.session import open_appliance
from rag.settings import Settings
from web.errors import WebError
from web.server import WebServer


def serve(settings: Settings, docs: Path | None, *, as_json: bool) -> None:
    """Serve until a signal comes. Raises BadInput, also when the port cannot be had, and OwnerBusy."""
    started = time.monotonic()
    if docs is not None and not docs.expanduser().is_dir():
        raise BadInput(f"--docs {docs} is not a folder. Check the spelling, or make it first.")
    owner = own_or_call(settings.home)  # one that is just ending is waited for
    if not isinstance(owner, Ownership):
        owner.close()
        raise OwnerBusy(
            f"Another Lectern process, {owner.pid}, owns {settings.home}: use its page, stop it, or choose another "
            "LECTERN_HOME."
        )
    _log_to(settings.home / "logs" / "serve.log")
    # uvicorn raises the signal that ended it once more, and by default that one would end us before anything is closed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with open_appliance(settings, owner) as appliance:
            _serve(appliance, settings, docs, started, as_json)
    except WebError as exc:
        raise BadInput(str(exc)) from exc
    except KeyboardInterrupt:
        return  # a signal is how serving ends


def _serve(appliance: Appliance, settings: Settings, docs: Path | None, started: float, as_json: bool) -> None:
    server = WebServer(appliance, settings.host, settings.port)
    appliance.warm_up()
    if docs is not None:
        appliance.add_folder(docs, identity=LOCAL_USER)
    appliance.follow_all()
    _announce(appliance.describe(), server.url, docs, time.monotonic() - started, as_json)
    server.run()


def _announce(choices: list[str], url: str, docs: Path | None, seconds: float, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"url": url, "choices": choices, "seconds": round(seconds, 2)}), flush=True)
        return
    for choice in choices:
        print(choice, file=sys.stderr)
    if docs is not None:
        print(f"Reading {docs}; the page can be used meanwhile.", file=sys.stderr)
    print(f"\nLectern is at {url} (after {seconds:.1f} s; Ctrl-C ends it)", file=sys.stderr, flush=True)


def _log_to(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO, filename=file, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
