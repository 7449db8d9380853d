"""A forked process finds out items one by one, or this one does."""

import os
import signal
from collections.abc import Iterator

import pytest

from gateway.forked import forked_items
from tests.support.workers import children, descriptors


def test_another_process_finds_them_out() -> None:
    before = descriptors(), children(os.getpid())
    items = [*forked_items(lambda: ((number, os.getpid()) for number in range(1000)))]
    assert [number for number, _ in items] == [*range(1000)]
    assert len({pid for _, pid in items}) == 1
    assert items[0][1] != os.getpid()
    assert (descriptors(), children(os.getpid())) == before


def test_no_more_wait_than_a_pipe_takes() -> None:
    reading, writing = os.pipe()

    def work() -> Iterator[bytes]:
        for _ in range(1000):
            os.write(writing, b".")
            yield b"x" * 64 * 1024

    items = forked_items(work)
    for _ in range(500):
        next(items)
    assert len(os.read(reading, 1000)) <= 510
    os.close(reading)
    os.close(writing)


def test_whoever_stops_early_ends_the_other_process() -> None:
    before = descriptors(), children(os.getpid())
    items = forked_items(lambda: iter(int, 1))
    assert next(items) == 0
    del items
    assert (descriptors(), children(os.getpid())) == before


@pytest.mark.parametrize("died_after", [0, 1, 5])
def test_the_rest_is_done_here_if_the_other_process_is_killed(died_after: int) -> None:
    here = os.getpid()

    def work() -> Iterator[tuple[int, bool]]:
        for number in range(6):
            if number == died_after and os.getpid() != here:
                os.kill(os.getpid(), signal.SIGKILL)
            yield number, os.getpid() == here

    items = [*forked_items(work)]
    assert items == [(number, number >= died_after) for number in range(6)]


def test_an_error_is_this_process_own() -> None:
    here = os.getpid()

    def work() -> Iterator[int]:
        yield 1
        raise ValueError(f"in {os.getpid()}")

    items = forked_items(work)
    assert next(items) == 1
    with pytest.raises(ValueError, match=f"in {here}"):
        next(items)


def test_without_processes_the_work_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", fork)
    before = descriptors()
    assert [*forked_items(lambda: [os.getpid()] * 2)] == [os.getpid()] * 2
    assert descriptors() == before
