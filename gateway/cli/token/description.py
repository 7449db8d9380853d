"""Claims of tokens in words."""

from datetime import UTC, datetime

from gateway.access.tokens.token import Claims
from gateway.principal import Right


def moment(seconds: int) -> str:
    """Seconds since the epoch as UTC (RFC 3339), or as a number if the calendar does not reach that far."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds after 1970"


def rights(claims: Claims) -> str:
    return ", ".join(right.value for right in Right if right in claims.scope.rights) or "nothing"


def projects(claims: Claims) -> str:
    return ", ".join(claims.scope.projects) or "all"


def described(claims: Claims) -> str:
    return f"for {claims.subject!r}: {rights(claims)}; projects: {projects(claims)}"
