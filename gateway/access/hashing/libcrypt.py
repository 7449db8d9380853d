"""The system's libcrypt (libxcrypt), which hashes without holding the interpreter's lock."""

import ctypes
from collections.abc import Callable
from functools import cache

MAX_PASSWORD_BYTES = 511  # CRYPT_MAX_PASSPHRASE_SIZE, with the NUL at its end
_DATA_BYTES = 32768  # struct crypt_data, which has been of this size since libxcrypt 4.2


def crypt(password: bytes, setting: bytes) -> bytes | None:
    """The hash of a password without NUL, as crypt(5) writes it. None if the system has no libxcrypt, or one that
    doesn't do this method."""
    function = _function()
    return function(password, setting, ctypes.create_string_buffer(_DATA_BYTES), _DATA_BYTES) if function else None


@cache
def _function() -> Callable[..., bytes | None] | None:
    for name in ("libcrypt.so.1", "libcrypt.so.2"):
        try:
            function = ctypes.CDLL(name).crypt_rn  # a CDLL's calls release the lock
        except (OSError, AttributeError):
            continue
        function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
        function.restype = ctypes.c_char_p
        return function
    return None
