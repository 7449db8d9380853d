import pytest

from gateway.errors import UpstreamUnavailableError
from gateway.upstream.circuits import Circuits


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def down(circuits: Circuits, host: str) -> None:
    for _ in range(10):
        circuits.failed(host, "refused")


def test_requests_to_a_server_that_is_down_fail_at_once_and_say_until_when() -> None:
    clock = Clock()
    circuits = Circuits(clock=clock)
    down(circuits, "a.example")
    circuits.admit("b.example")
    with pytest.raises(UpstreamUnavailableError, match=r"^a\.example is down: its circuit breaker is open") as refused:
        circuits.admit("a.example")
    assert (refused.value.status, refused.value.code) == (503, "CircuitOpen")
    assert refused.value.headers["Retry-After"] == "1"
    assert "a.example" not in refused.value.public
    assert circuits.down() == {"a.example": "open"}
    clock.now += 1
    circuits.admit("a.example")
    assert circuits.down() == {"a.example": "half-open"}


def test_an_answer_ends_it_for_its_server_alone() -> None:
    circuits = Circuits()
    down(circuits, "a")
    down(circuits, "a")
    down(circuits, "b")
    assert circuits.down() == {"a": "open", "b": "open"}
    circuits.answered("a")
    circuits.answered("a")
    assert circuits.down() == {"b": "open"}
    circuits.answered("b")
    assert circuits.down() == {}


def test_another_index_that_names_hosts_without_end_costs_no_memory_without_end() -> None:
    circuits = Circuits()
    for number in range(1000):
        down(circuits, f"host-{number}")
    assert len(circuits.down()) == 256


def test_a_server_that_nobody_asks_any_more_does_not_count_as_down_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    circuits = Circuits(clock)
    down(circuits, "gone.example")
    clock.now += 200
    down(circuits, "asked.example")
    circuits.failed("once.example", "refused")
    clock.now += 99
    assert circuits.down() == {"gone.example": "open", "asked.example": "open"}
    clock.now += 1
    with caplog.at_level("INFO"):
        circuits.admit("another.example")  # whoever asks for anything, it is noticed
    assert caplog.messages[-1] == "whether gone.example is still down is not known: it has not been asked for long"
    assert circuits.down() == {"asked.example": "open"}
    circuits.admit("gone.example")
    down(circuits, "gone.example")
    circuits.failed("asked.example", "refused")  # a probe
    clock.now += 299
    assert circuits.down() == {"gone.example": "open", "asked.example": "open"}
    clock.now += 1
    assert circuits.down() == {}


def test_hosts_without_end_take_no_breaker_from_the_server_that_fails_next() -> None:
    circuits = Circuits()
    for number in range(256):
        down(circuits, f"host-{number}")
    down(circuits, "index.example")
    assert "index.example" in circuits.down()
    assert "host-0" not in circuits.down()
    assert len(circuits.down()) == 256
