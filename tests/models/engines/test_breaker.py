"""The circuit breaker, with a clock of the test's own."""

from __future__ import annotations

import pytest

from models.engines.breaker import CircuitBreaker


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failures=3, pause_s=10, clock=clock)


def failed(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        assert breaker.admit()
        breaker.fail()


def test_failures_in_a_row_open_it(breaker: CircuitBreaker) -> None:
    failed(breaker, 2)
    assert (breaker.state, breaker.left_s) == ("closed", 0)
    failed(breaker, 1)
    assert (breaker.state, breaker.left_s, breaker.admit()) == ("open", 10, False)


def test_a_success_in_between_forgives(breaker: CircuitBreaker) -> None:
    failed(breaker, 2)
    breaker.succeed()
    failed(breaker, 2)
    assert breaker.state == "closed"


def test_after_the_pause_one_trial_passes(breaker: CircuitBreaker, clock: Clock) -> None:
    failed(breaker, 3)
    clock.now_s += 9.9
    assert not breaker.admit()
    clock.now_s += 0.1
    assert breaker.state == "half-open"
    assert [breaker.admit() for _ in range(3)] == [True, False, False]
    breaker.succeed()
    assert (breaker.state, breaker.admit()) == ("closed", True)


def test_a_trial_that_fails_opens_it_for_another_pause(breaker: CircuitBreaker, clock: Clock) -> None:
    failed(breaker, 3)
    clock.now_s += 10
    failed(breaker, 1)
    assert (breaker.state, breaker.left_s) == ("open", 10)


def test_a_trial_that_was_given_up_lets_another_pass(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.trip()
    clock.now_s += 10
    assert breaker.admit()
    breaker.release()
    assert breaker.admit()


def test_a_trip_opens_at_once(breaker: CircuitBreaker) -> None:
    breaker.trip()
    assert breaker.state == "open"
