import ctypes
import subprocess
import sys

import pytest

_PROGRAM = """
import sys, threading
if sys.argv[1] == "share":
    from gateway.cli import heap
    heap.share_arenas()
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


def arenas(how: str) -> int:
    told = subprocess.run([sys.executable, "-c", _PROGRAM, how], capture_output=True, text=True, check=True)
    return told.stderr.count("Arena ")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_threads_share_what_they_free() -> None:
    assert arenas("as it is") > 2
    assert arenas("share") == 2
