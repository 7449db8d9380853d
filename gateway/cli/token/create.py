"""`gateway token create`: prints a new token."""

import secrets
import sys
import time
from collections.abc import Callable, Sequence

from gateway.access.tokens.token import Claims, TokenError, issue
from gateway.cli.token.configured import signing_key
from gateway.cli.token.description import described, moment
from gateway.config.settings import Settings
from gateway.principal import Right, Scope
from gateway.rights.patterns import ProjectPattern
from gateway.rights.subjects import is_name

_ID_BYTES = 8
_DAY_SECONDS = 24 * 3600


def create(
    settings: Settings,
    subject: str,
    projects: Sequence[str],
    rights: frozenset[Right],
    days: int,
    write: Callable[[str], None],
) -> int:
    """Writes the token alone; its id and its end go to standard error. Raises ConfigError without a key that signs."""
    try:
        if not is_name(subject):
            raise ValueError("--subject must be a name, without a colon, control characters, or spaces around it")
        patterns = tuple(_pattern(text) for text in projects)
        key = signing_key(settings)
        expires = int(time.time()) + days * _DAY_SECONDS
        claims = Claims(subject, secrets.token_hex(_ID_BYTES), Scope(rights, patterns), expires)
        token = issue(claims, key)
    except TokenError as error:
        return _refused(f"the token would be {error}")
    except ValueError as error:
        return _refused(f"{error}")
    write(token)
    print(f"id {claims.id}, valid until {moment(expires)}, {described(claims)}", file=sys.stderr)
    return 0


def _pattern(text: str) -> str:
    try:
        return ProjectPattern.parse(text).text
    except ValueError as error:
        raise ValueError(f"--project {text!r} {error}") from None


def _refused(why: str) -> int:
    print(f"gateway token create: {why}", file=sys.stderr)
    return 1
