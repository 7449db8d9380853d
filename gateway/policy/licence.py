"""Licence expressions: `MIT OR (Apache-2.0 AND BSD-3-Clause)`. Pure.

https://packaging.python.org/en/latest/specifications/license-expression/
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

_TOKEN = re.compile(r"[()]|[A-Za-z0-9.+:-]+")
_MAX_TOKENS = 200
_MAX_CHARACTERS = 4096
_NONE = (ValueError, IndexError, RecursionError)
_OTHERS = ("(", ")", "and", "or", "with")  # tokens that are no names


def has_licence(expression: str, patterns: Sequence[str]) -> bool:
    """Whether nobody can have the file without a licence that fits one of the patterns, like GPL-*: all alternatives
    of an OR have to fit, and one part of an AND. Upper and lower case are the same. What is no expression is one
    licence, by its whole text."""
    return _has_licence(expression, tuple(patterns))


def is_expression(text: str) -> bool:
    """Whether it can be read as one."""
    try:
        _parsed(text.lower(), [])
    except _NONE:
        return False
    return True


@lru_cache(maxsize=1024)
def _has_licence(expression: str, patterns: tuple[str, ...]) -> bool:
    """Most files of a project have the same licence."""
    lowered = [pattern.lower() for pattern in patterns]
    text = expression.strip().lower()[:_MAX_CHARACTERS]
    try:
        return _parsed(text, lowered)
    except _NONE:
        return _fits(text, lowered)


def _parsed(text: str, patterns: list[str]) -> bool:
    """Raises one of _NONE if it is no expression."""
    tokens = _tokens(text)
    fits, rest = _either(tokens, 0, patterns)
    if rest != len(tokens):
        raise ValueError
    return fits


def _tokens(text: str) -> list[str]:
    tokens = _TOKEN.findall(text)
    if not tokens or len(tokens) > _MAX_TOKENS or "".join(tokens) != "".join(text.split()):
        raise ValueError
    return tokens


def _either(tokens: list[str], at: int, patterns: list[str]) -> tuple[bool, int]:
    fits, at = _both(tokens, at, patterns)
    while at < len(tokens) and tokens[at] == "or":
        other, at = _both(tokens, at + 1, patterns)
        fits = fits and other
    return fits, at


def _both(tokens: list[str], at: int, patterns: list[str]) -> tuple[bool, int]:
    fits, at = _one(tokens, at, patterns)
    while at < len(tokens) and tokens[at] == "and":
        other, at = _one(tokens, at + 1, patterns)
        fits = fits or other
    return fits, at


def _one(tokens: list[str], at: int, patterns: list[str]) -> tuple[bool, int]:
    first = tokens[at]
    if first == "(":
        fits, at = _either(tokens, at + 1, patterns)
        if tokens[at] != ")":
            raise ValueError
        return fits, at + 1
    if first in _OTHERS:
        raise ValueError
    if tokens[at + 1 : at + 2] == ["with"]:
        exception = tokens[at + 2]
        if exception in _OTHERS:
            raise ValueError
        return _fits(first, patterns) or _fits(f"{first} with {exception}", patterns), at + 3
    return _fits(first, patterns), at + 1


def _fits(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
