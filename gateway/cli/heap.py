"""The memory of the process, as its allocator and its garbage collector are told to treat it."""

import ctypes
import gc
from contextlib import suppress

# mallopt(3): glibc gives threads arenas of their own, up to eight for each processor, and what is freed in one is of no
# use to the others.
_M_ARENA_MAX = -8
_ARENAS = 2


def share_arenas() -> None:
    """Has the threads share what they free: 7 MB of some 190 while clients of all kinds ask at once. Call it before
    there are any. Does nothing where the C library is not glibc."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def freeze() -> None:
    """What has been built stays: the collector need not look at it again and again, which takes 8 % of a small request
    (105 µs and 97)."""
    gc.collect()
    gc.freeze()
