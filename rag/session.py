"""A command finds who runs it: the owner of the data folder when there is one, else this process, for its duration."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from models.cancellation import CancelToken
from rag.ownership import Ownership, hand_over, own_or_call
from rag.settings import Settings

if TYPE_CHECKING:
    from rag.appliance import Appliance

_log = logging.getLogger(__name__)
Message = dict[str, object]


def request(settings: Settings, command: str, arguments: Message) -> Iterator[Message]:
    """The command's messages. Leaving off early cancels it."""
    owner = own_or_call(settings.home)
    if not isinstance(owner, Ownership):
        yield from hand_over(owner, settings.home, command, arguments)
        return
    from rag.building import build_appliance

    cancel = CancelToken()
    with owner:
        appliance = build_appliance(settings, owner)
        try:
            owner.open_door(partial(run_explained, appliance))
            yield from run_explained(appliance, command, arguments, cancel)
        finally:
            cancel.cancel()
            appliance.close()


def run_explained(appliance: Appliance, command: str, arguments: Message, cancel: CancelToken) -> Iterator[Message]:
    """A command's messages; an error that is known becomes the last one, {"error": …}."""
    from rag.commands import run_command
    from rag.failures import explain

    try:
        yield from run_command(appliance, command, arguments, cancel)
    except Exception as exc:  # the edge towards the caller, who may be another process
        message = explain(exc)
        if message is None:
            _log.exception("the command %s failed", command)
            message = f"{command} failed: {type(exc).__name__}: {exc}. This is a fault of Lectern; the log has more."
        yield {"error": message}
