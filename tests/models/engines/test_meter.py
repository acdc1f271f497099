"""The meter: requests counted from start to end, however they end; rates by a clock that the test turns."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.cancellation import Cancelled
from models.engines.meter import Meter, Traffic
from models.errors import EngineUnavailable
from models.interfaces import ChatDelta, Engine, Usage

ENGINE = Engine("office", "llama", "10.0.0.5", "self-hosted")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Reply:
    """A model's stream, of which the test sees whether it was closed."""

    def __init__(self, *deltas: ChatDelta | Exception) -> None:
        self._left = list(deltas)
        self.closed = False

    def __iter__(self) -> Iterator[ChatDelta]:
        return self

    def __next__(self) -> ChatDelta:
        if not self._left:
            raise StopIteration
        item = self._left.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed = True


def a_reply(*texts: str, usage: Usage | None = None) -> Reply:
    whole = [ChatDelta("", engine=ENGINE), *(ChatDelta(text) for text in texts)]
    return Reply(*whole, ChatDelta("", finish_reason="stop", usage=usage))


def value(meter: Meter, name: str, **labels: str) -> float | None:
    return meter.registry.get_sample_value(name, labels)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    return Meter(clock=clock)


def test_a_request_waits_until_its_first_text_then_runs_then_is_gone(meter: Meter) -> None:
    watched = meter.watch(a_reply("a", "b"))
    assert meter.traffic() == Traffic(0, 0, 0.0)
    next(watched)  # says which engine, and no text yet
    assert (meter.traffic().running, meter.traffic().waiting) == (0, 1)
    next(watched)
    assert (meter.traffic().running, meter.traffic().waiting) == (1, 0)
    assert value(meter, "num_requests_running") == 1.0
    assert [delta.text for delta in watched] == ["b", ""]
    assert (meter.traffic().running, meter.traffic().waiting) == (0, 0)
    assert value(meter, "num_requests_running") == value(meter, "num_requests_waiting") == 0.0


def test_what_comes_in_goes_out_unchanged(meter: Meter) -> None:
    deltas = [ChatDelta("a", engine=ENGINE), ChatDelta("b", "stop", Usage(1, 2))]
    assert list(meter.watch(iter(deltas))) == deltas


def test_tokens_are_the_engines_count_and_without_one_the_pieces(meter: Meter) -> None:
    list(meter.watch(a_reply("a", "b", usage=Usage(prompt_tokens=30, completion_tokens=5))))
    list(meter.watch(a_reply("a", "b")))
    assert value(meter, "prompt_tokens_total") == 30.0
    assert value(meter, "generation_tokens_total") == 7.0


def test_times_are_taken_to_the_first_token_between_tokens_and_to_the_end(meter: Meter, clock: Clock) -> None:
    watched = meter.watch(a_reply("a", "b", usage=Usage(9, 5)))
    next(watched)
    for seconds in (2.0, 4.0):
        clock.now_s += seconds
        next(watched)
    clock.now_s += 1.0
    list(watched)
    assert value(meter, "time_to_first_token_seconds_sum") == 2.0
    assert value(meter, "time_per_output_token_seconds_sum") == 1.0  # 4 s for the 4 tokens after the first
    assert value(meter, "e2e_request_latency_seconds_sum") == 7.0


def test_closing_early_closes_the_reply_and_counts_it_as_stopped(meter: Meter) -> None:
    reply = a_reply("a", "b")
    watched = meter.watch(reply)
    next(watched), next(watched)
    watched.close()
    assert reply.closed
    assert value(meter, "requests_total", engine="office", outcome="stopped") == 1.0
    assert meter.traffic().running == 0
    assert value(meter, "generation_tokens_total") == 1.0
    assert value(meter, "e2e_request_latency_seconds_count") == 0.0


def test_closing_before_the_first_token_leaves_nothing_waiting(meter: Meter) -> None:
    watched = meter.watch(a_reply("a"))
    next(watched)
    watched.close()
    assert meter.traffic() == Traffic(0, 0, 0.0)


def test_leaving_off_after_the_last_delta_is_no_stop(meter: Meter) -> None:
    watched = meter.watch(a_reply())
    next(watched), next(watched)
    watched.close()
    assert value(meter, "requests_total", engine="office", outcome="finished") == 1.0


@pytest.mark.parametrize(("error", "outcome"), [(EngineUnavailable("gone"), "failed"), (Cancelled(), "stopped")])
def test_a_failure_passes_on_and_is_counted_by_its_kind(meter: Meter, error: Exception, outcome: str) -> None:
    reply = Reply(ChatDelta("a"), error)
    with pytest.raises(type(error)):
        list(meter.watch(reply))
    assert reply.closed
    assert value(meter, "requests_total", engine="", outcome=outcome) == 1.0
    assert meter.traffic().running == 0


def test_tokens_per_second_are_those_of_the_last_seconds(meter: Meter, clock: Clock) -> None:
    def slow() -> Iterator[ChatDelta]:
        for _ in range(21):
            yield ChatDelta("a")
            clock.now_s += 0.1

    watched = meter.watch(slow())
    for _ in range(21):
        next(watched)
    assert meter.traffic().tokens_per_s == pytest.approx(21 / 2.0)
    watched.close()
    clock.now_s += 2.0
    assert meter.traffic().tokens_per_s == pytest.approx(21 / 4.0)
    clock.now_s += 10.0
    assert meter.traffic().tokens_per_s == 0.0


def test_pieces_of_several_tokens_count_as_many(meter: Meter) -> None:
    list(meter.watch(a_reply("a b", "c d", usage=Usage(1, 4))))
    assert meter.traffic().tokens_per_s == pytest.approx(4.0)


def test_many_threads_leave_the_counts_whole(meter: Meter) -> None:
    def ask() -> None:
        for _ in range(50):
            list(meter.watch(a_reply("a", "b", usage=Usage(1, 2))))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(meter, "requests_total", engine="office", outcome="finished") == 400.0
    assert value(meter, "generation_tokens_total") == 800.0
    assert (meter.traffic().running, meter.traffic().waiting) == (0, 0)


def test_the_text_is_read_by_prometheus_and_has_nims_names(meter: Meter) -> None:
    list(meter.watch(a_reply("a", "b", usage=Usage(1, 2))))
    names = {family.name for family in text_string_to_metric_families(meter.text().decode())}
    assert names >= {
        *("num_requests_running", "num_requests_waiting", "prompt_tokens", "generation_tokens"),
        *("time_to_first_token_seconds", "time_per_output_token_seconds", "e2e_request_latency_seconds"),
    }


def test_two_meters_share_nothing() -> None:
    first, second = Meter(), Meter()
    list(first.watch(a_reply("a")))
    assert value(second, "generation_tokens_total") == 0.0
