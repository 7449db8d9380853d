"""Verifies passwords in threads, and remembers which fit."""

import hmac
import secrets
import time
from collections.abc import Callable

from gateway.access.authenticator import AuthenticatorUnavailableError
from gateway.access.hashing.passwords import PasswordHash
from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.executors import PASSWORDS, Executor

_MAX_BYTES = 1024 * 1024
# A password that fits is verified again if it has not been used for so long.
_REMEMBERED_SECONDS = 3600.0
# Installers give up after 15 s, and several tables may have to be asked.
_MOST_SECONDS = 5.0
_FIRST_GUESS_SECONDS = 0.25
_WEIGHT_OF_LAST = 0.2


class PasswordChecks:
    """Everybody can make the gateway hash: who has logged in does not wait for that. A password that has fitted a hash
    fits it for as long as the hash is the same, and the others are refused at once if they would have to wait for long.

    Remembered is a keyed hash of both, never the password.
    """

    def __init__(self, executor: Executor, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._executor = executor
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._fitting = LruCache[bytes, float](
            "passwords that fit", MemoryLimit(_MAX_BYTES), lambda slot, used: weight_of(slot) + weight_of(used)
        )
        self._waiting = 0
        self._seconds = _FIRST_GUESS_SECONDS  # that one takes, about

    async def fits(self, known: PasswordHash, password: bytes) -> bool:
        """Whether the password is the one of the hash. Raises AuthenticatorUnavailableError if too many others wait, or
        there is no memory. Cancelling it takes it out of the queue for a thread."""
        slot, now = hmac.digest(self._key, known.text.encode() + b"\0" + password, "sha256"), self._clock()
        used = self._fitting.get(slot)
        is_remembered = used is not None and now < used + _REMEMBERED_SECONDS
        if not is_remembered and not await self._verify(known, password):
            self._fitting.pop(slot)
            return False
        self._fitting.put(slot, now)
        return True

    async def pretend(self, known: PasswordHash, password: bytes) -> None:
        """Takes as long as `fits` does for a wrong password: nobody learns whether it is somebody else's."""
        await self._verify(known, password)

    async def _verify(self, known: PasswordHash, password: bytes) -> bool:
        if self._waiting * self._seconds > _MOST_SECONDS * self._executor.threads:
            raise AuthenticatorUnavailableError("too many passwords wait to be verified")
        self._waiting += 1
        try:
            fits, seconds = await self._executor.run(_timed, known, password)
        finally:
            self._waiting -= 1
        self._seconds += (seconds - self._seconds) * _WEIGHT_OF_LAST
        return fits


def _timed(known: PasswordHash, password: bytes) -> tuple[bool, float]:
    """Whether it fits, and the seconds that this took."""
    began = time.monotonic()
    return known.verify(password), time.monotonic() - began


# Shared by all tables of users, also by those of a changed configuration.
PASSWORD_CHECKS = PasswordChecks(PASSWORDS)
