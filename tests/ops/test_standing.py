"""What workers know together of the gateway's readiness."""

import os
from collections.abc import Callable

import pytest

from gateway.ops.shared.standing import MOST_BYTES, Findings, Standing


def in_another_process(work: Callable[[], object]) -> None:
    """Forks, as gunicorn does."""
    if (child := os.fork()) == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_what_one_worker_knows_all_know() -> None:
    standing = Standing()
    assert (standing.findings, standing.was_ready, standing.stopping) == (None, False, False)
    in_another_process(lambda: standing.tell(Findings(1.0, 2.0, b"found")))
    assert standing.findings == Findings(1.0, 2.0, b"found")
    in_another_process(standing.note_ready)
    assert (standing.was_ready, standing.stopping) == (True, False)
    in_another_process(standing.stop)
    assert standing.stopping


@pytest.mark.parametrize("shared", [True, False])
def test_what_was_asked_last_counts_whoever_ends_last(shared: bool) -> None:
    standing = Standing(shared=shared)
    standing.tell(Findings(5.0, 6.0, b"new"))
    standing.tell(Findings(1.0, 11.0, b"it timed out"))
    assert standing.findings == Findings(5.0, 6.0, b"new")
    standing.tell(Findings(6.0, 7.0, b"shorter"))
    assert standing.findings == Findings(6.0, 7.0, b"shorter")


def test_what_is_torn_is_not_taken_for_findings() -> None:
    """A process may die while it writes, or be read while it does."""
    standing = Standing()
    standing.tell(Findings(1.0, 2.0, b"found"))
    standing._shared[-MOST_BYTES] ^= 1
    assert standing.findings is None
    standing.tell(Findings(0.5, 0.6, b"anew"))
    assert standing.findings == Findings(0.5, 0.6, b"anew")
    standing._shared[2 + 8] ^= 1  # a time
    assert standing.findings is None


def test_findings_of_very_many_mounts_stay_with_their_worker() -> None:
    standing = Standing()
    standing.tell(Findings(1.0, 2.0, b"x" * MOST_BYTES))
    assert standing.findings == Findings(1.0, 2.0, b"x" * MOST_BYTES)
    standing.tell(Findings(2.0, 3.0, b"x" * (MOST_BYTES + 1)))
    assert standing.findings == Findings(1.0, 2.0, b"x" * MOST_BYTES)


def test_nobody_waits_for_a_worker_that_is_telling() -> None:
    standing = Standing()
    read, write = os.pipe()
    told, tell = os.pipe()
    if (child := os.fork()) == 0:
        standing._take()
        os.write(tell, b".")
        os.read(read, 1)
        os._exit(0)
    os.read(told, 1)
    standing.tell(Findings(1.0, 2.0, b"found"))
    assert standing.findings is None
    os.write(write, b".")
    assert os.waitpid(child, 0)[1] == 0
    standing.tell(Findings(1.0, 2.0, b"found"))  # the lock went with the process
    assert standing.findings is not None
    for descriptor in (read, write, told, tell):
        os.close(descriptor)
