"""The `serve` command: own the data folder, say what was chosen, open the page, mirror the folder behind it."""

from __future__ import annotations

import json
import logging
import sys
import time
from functools import partial
from pathlib import Path

from rag.access import LOCAL_USER
from rag.building import build_appliance
from rag.errors import BadInput, OwnerBusy
from rag.ownership import Ownership, try_own
from rag.session import run_explained
from rag.settings import Settings
from web.server import WebServer


def serve(settings: Settings, docs: Path | None, *, as_json: bool) -> None:
    """Serve until a signal comes. Raises BadInput, OwnerBusy, `web.errors.WebError`, `models.errors.WeightsMissing`."""
    started = time.monotonic()
    if docs is not None and not docs.expanduser().is_dir():
        raise BadInput(f"--docs {docs} is not a folder. Check the spelling, or make it first.")
    owner = try_own(settings.home)
    if owner is None:
        raise OwnerBusy(
            f"Another Lectern process owns {settings.home}: use its page, stop it, or choose another LECTERN_HOME."
        )
    _log_to(settings.home / "logs" / "serve.log")
    with owner:
        _serve(settings, docs, owner, started, as_json)


def _serve(settings: Settings, docs: Path | None, owner: Ownership, started: float, as_json: bool) -> None:
    appliance = build_appliance(settings, owner)
    try:
        server = WebServer(appliance, settings.host, settings.port)
        owner.open_door(partial(run_explained, appliance))
        appliance.warm_up()
        if docs is not None:
            appliance.add_folder(docs, identity=LOCAL_USER)
        _announce(appliance.describe(), server.url, docs, time.monotonic() - started, as_json)
        server.run()
    finally:
        appliance.close()


def _announce(choices: list[str], url: str, docs: Path | None, seconds: float, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"url": url, "choices": choices, "seconds": round(seconds, 2)}), flush=True)
        return
    for choice in choices:
        print(choice, file=sys.stderr)
    if docs is not None:
        print(f"Mirroring {docs}; the page can be used meanwhile.", file=sys.stderr)
    print(f"\nLectern is at {url} (after {seconds:.1f} s; Ctrl-C ends it)", file=sys.stderr, flush=True)


def _log_to(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO, filename=file, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
