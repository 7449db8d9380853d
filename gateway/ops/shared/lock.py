"""A lock that processes share which are forked later."""

import os
import tempfile


def shared_lock() -> int:
    """The descriptor of a file without a name, to be locked by `fcntl.lockf`. It stays open as long as the process."""
    descriptor, path = tempfile.mkstemp(prefix="gateway-lock-")
    os.unlink(path)
    return descriptor
