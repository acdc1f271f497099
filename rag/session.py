"""A command finds who runs it: the owner of the data folder when there is one, else this process, for its duration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from models.cancellation import CancelToken
from rag.errors import OwnerGone
from rag.ownership import Ownership, own_or_call, try_own
from rag.settings import Settings

if TYPE_CHECKING:
    from rag.appliance import Appliance

_log = logging.getLogger(__name__)
Message = dict[str, object]
Request = Callable[[str, Message], Iterator[Message]]


def request(settings: Settings, command: str, arguments: Message) -> Iterator[Message]:
    """The command's messages. Leaving off early cancels it. When the owner ends before the command has, it is run
    again, by this process if need be; unless text was shown already: then OwnerGone is raised."""
    for is_last_try in (False, True):
        found = own_or_call(settings.home)
        if isinstance(found, Ownership):
            with open_appliance(settings, found) as appliance:
                yield from _run_here(appliance, command, arguments)
            return
        shown = False
        try:
            for message in found.run(command, arguments):
                shown = shown or "text" in message
                yield message
            return
        except OwnerGone:
            if shown or is_last_try:
                raise


@contextmanager
def session(settings: Settings) -> Iterator[Request]:
    """`request` for several commands: where there is no owner, this process is it until the block ends, so that what
    is loaded stays loaded."""
    owner = try_own(settings.home)
    if owner is None:
        yield partial(request, settings)
        return
    with open_appliance(settings, owner) as appliance:
        yield partial(_run_here, appliance)


@contextmanager
def open_appliance(settings: Settings, owner: Ownership) -> Iterator[Appliance]:
    """The appliance, also for other processes. At the end the door closes first: whoever is still served then becomes
    the owner and goes on, and hears of no half-closed parts."""
    from rag.building import build_appliance

    with owner:
        appliance = build_appliance(settings, owner)
        try:
            owner.open_door(partial(run_explained, appliance))
            yield appliance
        finally:
            owner.close_door()
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


def _run_here(appliance: Appliance, command: str, arguments: Message) -> Iterator[Message]:
    cancel = CancelToken()
    try:
        yield from run_explained(appliance, command, arguments, cancel)
    finally:
        cancel.cancel()
