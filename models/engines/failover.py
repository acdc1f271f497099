"""Several engines as one language model: the next one stands in for one that fails, and each reply says who made it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from models.cancellation import CancelToken
from models.engines.breaker import CircuitBreaker
from models.errors import EngineError, EngineRefused, EngineUnavailable
from models.interfaces import ChatDelta, ChatMessage, ChatModel, Engine

if TYPE_CHECKING:
    from collections.abc import Generator

    from models.engines.supervisor import State

REQUESTS_FAULT = frozenset({400, 413, 422})
"""The engine is well and the request is at fault: another engine would be asked in vain. (404 is none of them: it means
a model or an address that this engine does not have.)"""

NOTICED_S = 0.5
MOMENT_S = 3.0
POLL_S = 0.02

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Candidate:
    """An engine that may be asked. `state` tells of the process that Lectern keeps running for it; None: somebody else
    runs it, and whether it answers shows when it is asked."""

    client: ChatModel
    engine: Engine
    breaker: CircuitBreaker
    state: Callable[[], State] | None = None

    @property
    def is_ready(self) -> bool:
        return self.state is None or self.state() == "ready"

    @property
    def is_loading(self) -> bool:
        return self.state is not None and self.state() == "loading"

    def turns_out_dead(self) -> bool:
        """Whether its process has ended, which a supervisor may notice a moment after those who speak with it."""
        if self.state is None:
            return False
        until_s = time.monotonic() + NOTICED_S
        while self.is_ready and time.monotonic() < until_s:
            time.sleep(POLL_S)
        return not self.is_ready


class FailoverChat:
    """Fulfils `models.interfaces.ChatModel` for one request: made anew for each, it remembers who has failed in it.

    `candidates` are asked in their order, those first that can answer at once; one that should be first and is loading
    is given `moment_s` to get ready. Then come those that Lectern itself runs
    and that are loading, which are waited for, or had failed lately, which their supervisor has found well since; last
    those whose process ended when they were asked, since it is started again. What fails before its first token is
    followed by the next without a word; what fails later is the caller's to tell, who may call `stream` again: it then
    begins with the next one.

    `problems` say why engines that should be among the candidates are not. `watch` sees every delta (a meter).
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        problems: Sequence[str] = (),
        watch: Callable[[Iterator[ChatDelta]], Iterator[ChatDelta]] = iter,
        moment_s: float = MOMENT_S,
    ) -> None:
        self._candidates = tuple(candidates)
        self._problems = tuple(problems)
        self._watch = watch
        self._moment_s = moment_s
        self._failed: dict[Candidate, str] = {}

    @property
    def name(self) -> str:
        """Of the model that answers when nothing fails."""
        return self._candidates[0].client.name if self._candidates else "no language model"

    @property
    def context_tokens(self) -> int:
        """The smallest: a prompt must fit whoever answers."""
        return min((candidate.client.context_tokens for candidate in self._candidates), default=0)

    def prepare(self, cancel: CancelToken) -> None:
        """Return when one of them can be asked. Raises `EngineUnavailable`, `Cancelled`."""
        self._give_a_moment(cancel)
        left = self._left()
        if any(candidate.is_ready and candidate.breaker.state != "open" for candidate in left):
            return
        for candidate in (candidate for candidate in left if candidate.state):
            try:
                candidate.client.prepare(cancel)
            except EngineError as exc:
                self._note(candidate, exc)
            else:
                return
        raise self._nobody()

    def count_tokens(self, text: str) -> int:
        """By the first that can count now. Raises `EngineUnavailable`."""
        able = [candidate for candidate in self._left() if candidate.is_ready and candidate.breaker.state != "open"]
        for candidate in able or [candidate for candidate in self._left() if candidate.state]:
            try:
                return candidate.client.count_tokens(text)
            except EngineError as exc:
                candidate.breaker.fail()
                self._note(candidate, exc)
        raise self._nobody()

    def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        salt: str | None = None,
        cancel: CancelToken,
    ) -> Iterator[ChatDelta]:
        """Yield the reply as it is made; its first delta names the engine. Raises `EngineUnavailable` with every
        engine's reason when none answers, or when one breaks off in the middle; `EngineRefused` when the request itself
        is at fault; `Cancelled`."""

        def ask(candidate: Candidate) -> Iterator[ChatDelta]:
            return candidate.client.stream(
                messages, max_tokens=max_tokens, temperature=temperature, stop=stop, salt=salt, cancel=cancel
            )

        return self._watch(self._answered(ask, cancel))

    def _answered(self, ask: Callable[[Candidate], Iterator[ChatDelta]], cancel: CancelToken) -> Iterator[ChatDelta]:
        self._give_a_moment(cancel)
        for candidate in self._in_order():
            with closing(cast("Generator[ChatDelta]", ask(candidate))) as deltas:
                first = self._first(candidate, deltas)
                if first is not None:
                    yield replace(first, engine=candidate.engine)
                    yield from self._rest(candidate, deltas)
                    return
        raise self._nobody()

    def _give_a_moment(self, cancel: CancelToken) -> None:
        """A small model is loaded in a second or two; that is no reason to send text to the next engine."""
        first = next(iter(self._left()), None)
        until_s, self._moment_s = time.monotonic() + self._moment_s, 0.0  # once a request
        while first and first.is_loading and first.breaker.state == "closed" and time.monotonic() < until_s:
            if cancel.wait(POLL_S):
                cancel.check()

    def _in_order(self) -> Iterator[Candidate]:
        """Whom to ask; asked for the next one, it takes the one before as failed. Only one that was ready when it was
        asked can turn out dead: one that was waited for in vain is not waited for again."""
        later, asked = [], []
        for candidate in self._left():
            if candidate.is_ready and candidate.breaker.admit():
                yield candidate
                asked.append(candidate)
            else:
                later.append(candidate)
        for candidate in (candidate for candidate in later if candidate.state):
            if candidate.is_ready:
                asked.append(candidate)
            yield candidate
        yield from (candidate for candidate in asked if candidate.turns_out_dead())

    def _first(self, candidate: Candidate, deltas: Iterator[ChatDelta]) -> ChatDelta | None:
        """The first delta, with which the engine has proven itself; None when it failed."""
        try:
            first = next(deltas, ChatDelta("", "stop"))
        except EngineError as exc:
            if isinstance(exc, EngineRefused) and exc.status in REQUESTS_FAULT:
                candidate.breaker.succeed()
                raise
            candidate.breaker.fail()
            self._note(candidate, exc)
            return None
        except BaseException:  # cancelled, or a fault of ours: nothing is known of the engine
            candidate.breaker.release()
            raise
        candidate.breaker.succeed()
        return first

    def _rest(self, candidate: Candidate, deltas: Iterator[ChatDelta]) -> Iterator[ChatDelta]:
        try:
            yield from deltas
        except EngineError as exc:
            candidate.breaker.trip()
            self._note(candidate, exc)
            raise EngineUnavailable(f"{candidate.engine} broke off in the middle of its answer ({exc})") from exc

    def _left(self) -> list[Candidate]:
        return [candidate for candidate in self._candidates if candidate not in self._failed]

    def _note(self, candidate: Candidate, error: EngineError) -> None:
        self._failed[candidate] = str(error)
        _log.warning("%s failed: %s", candidate.engine, error)

    def _nobody(self) -> EngineUnavailable:
        reasons = [*self._problems, *self._failed.values()]
        for candidate in self._left():
            pause_s = candidate.breaker.left_s
            reasons.append(f"{candidate.engine} has failed, and is asked again in {pause_s:.0f} s")
        return EngineUnavailable(f"no language model answers: {'; '.join(reasons) or 'none is set up'}")
