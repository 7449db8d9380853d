"""Whom a rule speaks of."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gateway.principal import Principal

Kind = Literal["everyone", "authenticated", "user", "group", "token"]
_NAMED = re.compile(r"(user|group|token):(\S(?:.*\S)?)")


def is_name(text: str) -> bool:
    """Whether a user or a group may be called so: HTTP Basic ends a user at a colon (RFC 7617, 2)."""
    return bool(text) and text == text.strip() and text.isprintable() and ":" not in text


@dataclass(frozen=True, slots=True)
class Subject:
    """`name` is empty for `everyone` and `authenticated`."""

    kind: Kind
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Subject":
        """Raises ValueError, which says what is wrong."""
        if text == "everyone":
            return cls("everyone")
        if text == "authenticated":
            return cls("authenticated")
        if (named := _NAMED.fullmatch(text)) is None:
            raise ValueError("must be everyone, authenticated, user:NAME, group:NAME or token:ID")
        kinds: dict[str, Kind] = {"user": "user", "group": "group", "token": "token"}
        return cls(kinds[named[1]], named[2])

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind

    def is_one(self, principal: Principal) -> bool:
        """Whether the principal is this subject, or one of them."""
        return _IS_ONE[self.kind](principal, self.name)


# A token is a principal of its own right, and the user whom it was made for.
_IS_ONE: dict[Kind, Callable[[Principal, str], bool]] = {
    "everyone": lambda principal, name: True,
    "authenticated": lambda principal, name: bool(principal.name),
    "user": lambda principal, name: principal.name == name,
    "group": lambda principal, name: name in principal.groups,
    "token": lambda principal, name: principal.token == name,
}
