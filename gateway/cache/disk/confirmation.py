"""When the storage last confirmed the object in an entry: an extended attribute of its file (xattr(7)).

The times of the file can't tell: one shows whether the file has changed, the other when the entry was used.
"""

import os
import sys
from contextlib import suppress

_NAME = "user.gateway.confirmed"


def confirm(descriptor: int, now: float) -> None:
    """Notes `now`, in seconds since the epoch. Does nothing if the file system has no such attributes, or is full or
    read-only."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setxattr(descriptor, _NAME, b"%d" % now)


def confirmed_at(descriptor: int) -> float:
    """What was noted last; 0 if there is nothing."""
    if sys.platform == "linux":
        with suppress(OSError, ValueError):
            return float(int(os.getxattr(descriptor, _NAME)))
    return 0.0
