"""What is wrong in the storage, for a person who has to do something about it."""

from dataclasses import dataclass
from enum import Enum

from gateway.errors import ACCESS_DENIED, UNREADABLE, GatewayError

# Younger things may still be needed.
GC_ADVICE = "gateway gc --yes removes it when it is a day old"


class Problem(Enum):
    """The kinds; other programs read their names."""

    HASH = "hash"
    SIZE = "size"
    METADATA = "metadata"
    LEFTOVER = "leftover"
    UNFINISHED = "unfinished"
    PAGE = "page"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Finding:
    """`key` is where, `what` is wrong, and `advice` what to do about it; both are sentences without a full stop."""

    problem: Problem
    key: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what}. {self.advice}."


def unchecked(key: str, error: GatewayError) -> Finding:
    """Nobody knows whether something is wrong there."""
    what = f"it can't be checked: {error.detail or error.public}"
    advice = "Let these credentials read it" if is_refused(error) else "Try again when the storage answers"
    return Finding(Problem.UNCHECKED, key, what, advice)


def is_refused(error: GatewayError) -> bool:
    """Whether what seems to be absent may be there."""
    return error.code in (ACCESS_DENIED, UNREADABLE)
