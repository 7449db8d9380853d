"""Whether this is the long run, `make nightly`: the same tests, with many more cases."""

import os
from typing import TypeVar

T = TypeVar("T")

NIGHTLY = "GATEWAY_NIGHTLY" in os.environ


def by_night(*values: T) -> tuple[T, ...]:
    """Values of a parameter that only the long run tries: they cost much, and differ little from those of the day."""
    return values if NIGHTLY else ()
