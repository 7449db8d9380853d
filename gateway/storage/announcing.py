"""A storage that announces each object it writes or removes, so that other processes drop it from their caches."""

from collections.abc import Callable

from gateway.http.target import is_own
from gateway.storage.base import Backend
from gateway.storage.decorator import StorageDecorator


class AnnouncingStorage(StorageDecorator):
    """A StorageDecorator. It announces an object after each attempt to write or remove it, even a failed one: the
    storage may have made the change all the same."""

    def __init__(self, inner: Backend, announce: Callable[[str], None]) -> None:
        """`announce` is called with the object's key."""
        super().__init__(inner)
        self._announce = announce

    def forget(self, key: str) -> None:
        self.inner.forget(key)  # called for another process, which has made the announcement itself

    def _forget_own(self, key: str) -> None:
        if not is_own(key):  # no client is answered with it, and the gateway writes some of it often
            self._announce(key)
