"""Some keys of a mount: named, or all that match. Pure."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """`named` are the only ones that match; None if that can't be said."""

    matches: Callable[[str], bool]
    named: frozenset[str] | None = None

    @classmethod
    def of(cls, *keys: str) -> "Keys":
        named = frozenset(keys)
        return cls(named.__contains__, named)
