"""Wrong credentials are limited by address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access import attempts
from gateway.access.attempts import Attempts


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_one_every_six_seconds() -> None:
    clock = Clock()
    limit = Attempts(clock)
    for _ in range(10):
        assert limit.wait("192.0.2.1") == 0
        limit.failed("192.0.2.1")
    assert limit.wait("192.0.2.1") == 6
    assert limit.wait("192.0.2.2") == 0
    clock.now += 5
    assert limit.wait("192.0.2.1") == 1
    clock.now += 1
    assert limit.wait("192.0.2.1") == 0
    limit.failed("192.0.2.1")
    assert limit.wait("192.0.2.1") == 6
    clock.now += 60
    assert limit.wait("192.0.2.1") == 0


def test_what_succeeds_is_forgiven() -> None:
    limit = Attempts(Clock())
    for _ in range(100):
        limit.failed("192.0.2.1")
        limit.forgive("192.0.2.1")
    assert limit.wait("192.0.2.1") == 0
    limit.forgive("192.0.2.9")  # nothing to forgive
    for _ in range(10):
        limit.failed("192.0.2.9")
    assert limit.wait("192.0.2.9") == 6


def test_one_success_forgives_one_attempt() -> None:
    """Whoever has a password of their own could go on guessing others' for ever."""
    limit = Attempts(Clock())
    for _ in range(9):
        limit.failed("192.0.2.1")
    for _ in range(20):
        limit.failed("192.0.2.1")
        limit.forgive("192.0.2.1")
    assert limit.wait("192.0.2.1") == 0
    limit.failed("192.0.2.1")
    assert limit.wait("192.0.2.1") == 6


def test_a_network_of_ipv6_is_one_address() -> None:
    limit = Attempts(Clock())
    for number in range(10):
        limit.failed(f"2001:db8::{number:x}")
    assert limit.wait("2001:db8::ffff") == 6
    assert limit.wait("2001:db8:0:1::1") == 0
    for number in range(10):
        limit.failed(f"fd00::{number:x}")
    assert limit.wait("fd00::ffff") == 6
    assert limit.wait("fe80::1%eth0") == 0
    assert limit.wait("not:an:address") == 0


def test_addresses_are_bounded() -> None:
    limit = Attempts(Clock())
    for number in range(attempts._MAX_ADDRESSES + 10):
        limit.failed(f"client-{number}")
    assert len(limit._until) == attempts._MAX_ADDRESSES


def test_of_too_many_addresses_the_longest_idle_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_MAX_ADDRESSES", 2)
    limit = Attempts(Clock())
    for address in (*["one"] * 10, *["other"] * 10, "one", *["third"] * 10):
        limit.failed(address)
    assert [limit.wait(address) for address in ("one", "other", "third")] == [12, 0, 6]


@given(st.lists(st.tuples(st.sampled_from(["fail", "succeed", "pass"]), st.integers(0, 20)), max_size=60))
def test_as_many_as_a_bucket_that_fills_up(steps: list[tuple[str, int]]) -> None:
    """An oracle that keeps the tokens themselves: ten, and one more every six seconds."""
    clock, tokens = Clock(), 10.0
    limit = Attempts(clock)
    for what, seconds in steps:
        if what == "pass":
            clock.now += seconds
            tokens = min(tokens + seconds / 6, 10.0)
            continue
        assert (limit.wait("a") == 0) == (tokens >= 1 - 1e-9)
        if limit.wait("a") > 0:
            continue
        limit.failed("a")
        tokens -= 1
        if what == "succeed":
            limit.forgive("a")
            tokens = min(tokens + 1, 10.0)
