"""A storage that says which objects it writes and removes, so that other processes forget what they know of them."""

from collections.abc import Callable

from gateway.storage.base import Backend
from gateway.storage.decorator import StorageDecorator


class AnnouncingStorage(StorageDecorator):
    """A StorageDecorator. An object is announced after each attempt to write or remove it, also after one that failed:
    the storage may have taken it all the same."""

    def __init__(self, inner: Backend, announce: Callable[[str], None]) -> None:
        """`announce` is called with the object's key."""
        super().__init__(inner)
        self._announce = announce

    def forget(self, key: str) -> None:
        self.inner.forget(key)  # the word of others, who have announced it themselves

    def _forget_own(self, key: str) -> None:
        self._announce(key)
