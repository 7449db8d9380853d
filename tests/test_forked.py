"""A forked process does the work, or this one does."""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.forked import Forked
from tests.support.workers import descriptors


def test_another_process_does_the_work_once() -> None:
    before = descriptors()
    forked = Forked(os.getpid)
    with ThreadPoolExecutor(4) as threads:
        results = {done.result() for done in [threads.submit(forked.result) for _ in range(20)]}
    assert len(results) == 1
    assert results != {os.getpid()}
    assert descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(results.pop(), os.WNOHANG)


def test_a_large_result_arrives_whole() -> None:
    assert Forked(lambda: b"x" * 3_000_000).result() == b"x" * 3_000_000


def test_an_error_is_this_process_own() -> None:
    here = os.getpid()

    def fail() -> int:
        raise ValueError(f"in {os.getpid()}")

    forked = Forked(fail)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"in {here}"):
            forked.result()


def test_a_process_that_is_killed_leaves_the_work_to_this_one() -> None:
    here = os.getpid()

    def work() -> int:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()

    assert Forked(work).result() == here


def test_without_processes_the_work_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", fork)
    before = descriptors()
    assert Forked(os.getpid).result() == os.getpid()
    assert descriptors() == before


def test_whoever_waits_for_all_children_does_no_harm() -> None:
    reading, writing = os.pipe()
    forked = Forked(lambda: os.write(writing, b"%d" % os.getpid()) and os.getpid())
    child = int(os.read(reading, 20))
    os.waitpid(child, 0)
    assert forked.result() == child
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_ends_what_the_work_started_but_not_the_work(number: signal.Signals) -> None:
    here = os.getpid()

    def work() -> tuple[bool, int]:
        there = os.getpid() != here
        if there:
            os.kill(os.getpid(), number)
        return there, subprocess.run(["/bin/sh", "-c", f"kill -{number} $$"], check=False).returncode

    assert Forked(work).result() == (True, -number)


def test_a_wait_that_is_broken_off_ends_the_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()

    def work() -> None:
        os.write(writing, b"%d" % os.getpid())
        time.sleep(20)

    begun = time.monotonic()
    forked = Forked(work)
    child = int(os.read(reading, 20))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fdopen", interrupt)
    with pytest.raises(KeyboardInterrupt):
        forked.result()
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)
    assert time.monotonic() - begun < 20, "it was waited for"
    os.close(reading)
    os.close(writing)
