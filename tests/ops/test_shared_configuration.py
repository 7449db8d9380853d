"""What workers share of a configuration, byte for byte."""

import os

import pytest

from gateway.ops.shared.configuration import _AREAS_AT, _HEAD, MOST_BYTES, SharedConfiguration


def test_nothing_is_shared_at_first() -> None:
    assert SharedConfiguration().current() == (0, b"")


def test_the_newest_is_shared_with_a_number() -> None:
    shared = SharedConfiguration()
    for number, content in enumerate((b"a" * 1000, b"", b"c", b"d" * MOST_BYTES, b"e"), 1):
        assert shared.share(content) == shared.number == number
        assert shared.current() == (number, content)


def test_a_process_that_dies_while_it_shares_leaves_the_former() -> None:
    shared = SharedConfiguration()
    shared.share(b"the former")
    area = _AREAS_AT  # of even numbers
    shared._shared[area : area + _HEAD.size + 3] = b"x" * (_HEAD.size + 3)
    assert shared.current() == (1, b"the former")
    shared._shared[0:8] = (2).to_bytes(8, "little")
    with pytest.raises(ValueError, match="is being shared"):
        shared.current()


def test_one_process_at_a_time_has_the_turn() -> None:
    shared = SharedConfiguration()

    def in_another(ends: bool) -> bool:
        pid = os.fork()
        if pid == 0:
            os._exit(10 + shared.take_turn())
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 11

    assert in_another(True), "the turn ends with the process"
    assert shared.take_turn()
    assert not in_another(True)
    shared.leave_turn()
    assert in_another(True)


def test_workers_that_have_a_number_or_a_later_one_count() -> None:
    shared = SharedConfiguration()
    for slot, number in ((0, 1), (1, 2), (5, 3), (100_000, 3)):
        shared.note(slot, number)
    assert [shared.with_number(number) for number in (1, 2, 3, 4)] == [3, 2, 1, 0]


def test_who_has_asked_is_heard_once() -> None:
    shared = SharedConfiguration()
    assert not shared.is_asked
    shared.ask()
    shared.ask()
    assert shared.is_asked
    shared.begin()
    shared.end()
    assert not shared.is_asked


def test_who_asks_meanwhile_is_heard_next() -> None:
    shared = SharedConfiguration()
    shared.ask()
    shared.begin()
    shared.ask()
    shared.end()
    assert shared.is_asked


def test_what_a_worker_leaves_that_dies_is_tried_once_more() -> None:
    shared = SharedConfiguration()
    shared.ask()
    shared.begin()
    assert shared.is_asked
    shared.begin()
    assert not shared.is_asked
