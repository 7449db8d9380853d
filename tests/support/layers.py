"""The layers of a gateway's storage, for tests that look into one."""

from typing import TypeVar

from gateway.storage.base import Storage

T = TypeVar("T")


def layer(storage: Storage, kind: type[T]) -> T:
    """The decorator, or the backend, of this kind."""
    found: object = storage
    while not isinstance(found, kind):
        found = getattr(found, "inner", None)
        assert found is not None, f"{storage} has no {kind.__name__}"
    return found
