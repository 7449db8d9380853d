import ctypes
import subprocess
import sys

import pytest

_GLIBC = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
_THREADS = """
import sys, threading
if sys.argv[1] == "tuned":
    from gateway.cli import heap
    heap.tune()
start, kept = threading.Barrier(12), []
def allocate():
    start.wait()
    kept.append([bytes(400) for _ in range(3000)])
threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
import ctypes
ctypes.CDLL(None).malloc_stats()
"""

_BODIES = """
import resource, sys
if sys.argv[1] == "tuned":
    from gateway.cli import heap
    heap.tune()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    before = faults()
    for _ in range(50):
        bodies = [bytes(int(size)) + b"." for size in sys.argv[2:]]
        del bodies
print(faults() - before)
"""


def run(program: str, how: str, *sizes: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, how, *map(str, sizes)], capture_output=True, text=True, check=True
    )


@_GLIBC
def test_threads_share_what_they_free() -> None:
    assert run(_THREADS, "as it is").stderr.count("Arena ") > 2
    assert run(_THREADS, "tuned").stderr.count("Arena ") == 2


@_GLIBC
def test_bodies_reuse_the_memory_of_others() -> None:
    """Each page that is mapped anew is a page fault."""
    pieces = [64 * 1024] * 32
    assert int(run(_BODIES, "as it is", *pieces).stdout) > 5000
    assert int(run(_BODIES, "tuned", *pieces).stdout) < 500
    assert int(run(_BODIES, "tuned", 3 * 1024 * 1024).stdout) < 500
