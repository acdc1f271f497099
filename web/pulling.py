"""The sync core's iterators in the async world: pulled in threads, cancelled when the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from fastapi import Request
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool

from models.cancellation import CancelToken

Item = TypeVar("Item")


def cancel_on_disconnect(request: Request, cancel: CancelToken) -> asyncio.Task[None]:
    """A task that cancels `cancel` when the client of `request` goes away; the request's body must have been read.

    It must be a task of its own: a thread that waits for the language model's next token cannot be interrupted, only
    woken, and that is what the token does.
    """

    async def listen() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        cancel.cancel()

    return asyncio.create_task(listen())


@contextmanager
def _ending(listener: asyncio.Task[None], cancel: CancelToken) -> Iterator[None]:
    try:
        yield
    finally:
        cancel.cancel()
        listener.cancel()


async def pull_all(request: Request, items: Iterator[Item], cancel: CancelToken) -> list[Item]:
    """All `items`, or whatever error they raise."""
    with _ending(cancel_on_disconnect(request, cancel), cancel):
        return await run_in_threadpool(list, items)


async def pull_ahead(request: Request, items: Iterator[Item], cancel: CancelToken) -> AsyncIterator[Item]:
    """`items`, with the first already there: an error before it is raised here, while a status can still be sent."""
    listener = cancel_on_disconnect(request, cancel)
    pulled = iterate_in_threadpool(items)
    try:
        first = await anext(pulled)
    except BaseException:
        with _ending(listener, cancel):
            raise

    async def rest() -> AsyncIterator[Item]:
        with _ending(listener, cancel):
            yield first
            async for item in pulled:
                yield item

    return rest()
