import pytest

from gateway.upstream.circuit_breaker import CircuitBreaker, State


def opened(now: float = 100.0) -> CircuitBreaker:
    """Pauses without jitter: 0.5 s, then twice as long each time, up to 5 s."""
    breaker = CircuitBreaker(jitter=lambda: 1.0)
    for _ in range(10):
        assert breaker.admit(now)
        breaker.failed(now)
    return breaker


def test_it_opens_at_the_tenth_fault_in_a_row() -> None:
    breaker = CircuitBreaker()
    for _ in range(9):
        breaker.failed(0)
    assert (breaker.state, breaker.admit(0), breaker.wait(0)) == (State.CLOSED, True, 0)
    breaker.answered()
    for _ in range(9):
        breaker.failed(0)
    assert breaker.state is State.CLOSED
    breaker.failed(0)
    assert (breaker.state, breaker.admit(0)) == (State.OPEN, False)


def test_after_a_pause_one_request_tries_it_and_the_others_go_on_failing() -> None:
    breaker = opened()
    assert breaker.wait(100.0) == 0.5
    assert not breaker.admit(100.49)
    assert breaker.admit(100.5)
    assert breaker.state is State.HALF_OPEN
    assert not breaker.admit(100.5)


def test_an_answer_closes_it() -> None:
    breaker = opened()
    assert breaker.admit(100.5)
    breaker.answered()
    assert breaker.state is State.CLOSED
    for _ in range(9):
        assert breaker.admit(100.5)
        breaker.failed(100.5)
    assert breaker.state is State.CLOSED  # it counts anew


def test_each_probe_that_fails_makes_the_next_pause_longer_up_to_a_bound() -> None:
    breaker, now, pauses = opened(), 100.0, []
    for _ in range(6):
        pauses.append(breaker.wait(now))
        now += pauses[-1]
        assert breaker.admit(now)
        breaker.failed(now)
        assert breaker.state is State.OPEN
    assert pauses == [0.5, 1, 2, 4, 5, 5]


def test_a_probe_of_which_nothing_is_heard_does_not_keep_it_shut() -> None:
    breaker = opened()
    assert breaker.admit(100.5)  # and its client goes away
    assert not breaker.admit(101.49)
    assert breaker.admit(101.5)


def test_late_faults_of_requests_that_were_under_way_do_not_put_the_probe_off() -> None:
    breaker = opened()
    for _ in range(50):
        breaker.failed(100.4)
    assert breaker.admit(100.5)


@pytest.mark.parametrize(("jitter", "wait"), [(0.0, 0.25), (0.5, 0.375), (1.0, 0.5)])
def test_jitter_spreads_the_probes(jitter: float, wait: float) -> None:
    breaker = CircuitBreaker(jitter=lambda: jitter)
    for _ in range(10):
        breaker.failed(0)
    assert breaker.wait(0) == wait


def test_error_answers_about_one_object_are_no_outage_and_those_about_two_are() -> None:
    breaker = CircuitBreaker()
    for _ in range(50):
        breaker.failed(0.0, "/bucket/broken")
    assert (breaker.state, breaker.admit(0.0)) == (State.CLOSED, True)
    breaker.failed(0.0, "/bucket/other")
    assert (breaker.state, breaker.admit(0.0)) == (State.OPEN, False)


def test_no_answer_at_all_is_an_outage_whatever_was_asked_for() -> None:
    breaker = CircuitBreaker()
    for _ in range(9):
        breaker.failed(0.0, "/bucket/one")
    breaker.failed(0.0)
    assert breaker.state is State.OPEN


def test_an_answer_ends_what_was_known_of_several_objects() -> None:
    breaker = CircuitBreaker()
    breaker.failed(0.0, "/bucket/one")
    breaker.failed(0.0, "/bucket/other")
    breaker.answered()
    for _ in range(50):
        breaker.failed(0.0, "/bucket/one")
    assert breaker.state is State.CLOSED


def test_once_it_is_closed_nobody_waits_for_the_probe_that_was_due() -> None:
    breaker = opened()
    breaker.answered()
    assert breaker.wait(100.0) == 0.0
