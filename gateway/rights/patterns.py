"""Patterns of project names, as rules have them: `acme-*`."""

import fnmatch
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from packaging.utils import canonicalize_name

_PATTERN = re.compile(r"[A-Za-z0-9*?._-]+", re.ASCII)


@dataclass(frozen=True)
class ProjectPattern:
    """A pattern in normalised form: `*` stands for any characters, also for none, and `?` for one."""

    text: str

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> "ProjectPattern":
        """Normalises as PEP 503 does a name. Raises ValueError, which says what is wrong."""
        if not _PATTERN.fullmatch(text):
            raise ValueError("must be a project's name, with * and ? for what may differ")
        return cls(canonicalize_name(text))

    def matches(self, project: str) -> bool:
        """`project` is a normalised name."""
        return self._expression.fullmatch(project) is not None

    @property
    def specificity(self) -> tuple[int, int, int]:
        """The greater, the more specific: a name without wildcards comes before all patterns, then more characters
        that are given count, then more that are not given but counted."""
        stars, marks = self.text.count("*"), self.text.count("?")
        return (not stars and not marks, len(self.text) - stars - marks, marks)

    def overlaps(self, other: "ProjectPattern") -> bool:
        """Whether both match some text."""
        # Most do not, and begin or end differently: there may be millions of pairs.
        (one, its_end), (another, other_end) = self._ends, other._ends
        return (
            (one.startswith(another) or another.startswith(one))
            and (its_end.endswith(other_end) or other_end.endswith(its_end))
            and _overlap(self.text, other.text)
        )

    @cached_property
    def _ends(self) -> tuple[str, str]:
        """What every text that matches begins with, and what it ends with."""
        given = re.split("[*?]", self.text)
        return given[0], given[-1]

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile(fnmatch.translate(self.text))  # which takes no longer for many stars


def _overlap(one: str, other: str) -> bool:
    """By the pairs of positions that some text may lead to. Takes time in proportion to the product of the lengths."""
    reached, waiting = {(0, 0)}, [(0, 0)]
    while waiting:
        here, there = waiting.pop()
        if here == len(one) and there == len(other):
            return True
        for step in _steps(one[here : here + 1], other[there : there + 1]):
            place = here + step[0], there + step[1]
            if place not in reached:
                reached.add(place)
                waiting.append(place)
    return False


@lru_cache(maxsize=1024)
def _steps(one: str, other: str) -> tuple[tuple[int, int], ...]:
    """How far the next character of a text, or none, leads in two patterns that go on with these characters."""
    steps = []
    if one == "*" or (one and other == "*"):
        steps.append((1, 0))
    if other == "*" or (other and one == "*"):
        steps.append((0, 1))
    if one and other and ("?" in (one, other) or one == other):
        steps.append((1, 1))
    return tuple(steps)
