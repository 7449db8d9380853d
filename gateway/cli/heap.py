"""Configures the memory allocator and the garbage collector of the process."""

import ctypes
import gc
from contextlib import suppress

# mallopt(3): glibc gives threads arenas of their own, up to eight for each processor. Memory that is freed in one arena
# is not reused in the others.
_M_ARENA_MAX = -8
_ARENAS = 2


def share_arenas() -> None:
    """Has threads reuse the memory that others free, which saves 7 MB of some 190 under a mixed load. Call it before
    any thread starts. Does nothing if the C library is not glibc."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def freeze() -> None:
    """Exempts all objects that exist now from garbage collection, which takes 8 % of a small request (105 µs and 97):
    they live as long as the process."""
    gc.collect()
    gc.freeze()
