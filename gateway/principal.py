"""Who makes a request."""

from dataclasses import dataclass
from enum import Enum


class Right(Enum):
    """What a principal may do with a project or a path. FALLBACK is to have files fetched from the other index."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is limited to. `projects` are patterns (see rights/patterns.py), all if there are none. A token that
    `grants` gives these rights by itself, whatever its user may do, at the index whose `publish.audience` that is.
    `source` says, as JSON, where a file comes from that is published with it (see publish/trusted/sources.py)."""

    rights: frozenset[Right]
    projects: tuple[str, ...] = ()
    grants: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """`name` is empty for the anonymous. `admin` is set if whoever authenticated the user said so. `token` is the id of
    the token that authenticated the user, and `scope` what that may be used for. `view` is what pages and replies are
    cached by: principals with the same view see the same."""

    name: str = ""
    view: str = ""
    groups: frozenset[str] = frozenset()
    admin: bool = False
    token: str = ""
    scope: Scope | None = None


ANONYMOUS = Principal()


@dataclass(frozen=True, slots=True)
class Admission:
    """The decision about a request: who makes it, which authenticator said so, whether it is let in, and why.
    `fallback` tells whether files may be fetched from the other index for it, and `right` which right it takes."""

    principal: Principal = ANONYMOUS
    method: str = ""
    allowed: bool = True
    why: str = ""
    fallback: bool = True
    right: Right = Right.READ

    @property
    def result(self) -> str:
        """As it is counted."""
        return "allowed" if self.allowed else "denied"


# Of gateways without access control.
EVERYBODY = Admission()
