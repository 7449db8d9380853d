"""`gateway token inspect`: prints what a token claims, and whether it is valid."""

import sys
import time
from collections.abc import Callable

from gateway.access.tokens.token import TokenError, unverified, verify
from gateway.cli.token.configured import configured_keys
from gateway.cli.token.description import moment, projects, rights
from gateway.config.settings import Settings


def inspect(settings: Settings, token: str, write: Callable[[str], None]) -> int:
    """Returns 0 for a token that a configured key verifies and that has not expired, else 1. Does not read the list of
    revoked tokens."""
    try:
        claims = unverified(token)
    except TokenError as error:
        print(f"gateway token inspect: {error}", file=sys.stderr)
        return 1
    try:
        verify(token, configured_keys([settings]), now=claims.expires - 1)
        signature = "verified by a key of access.tokens"
    except TokenError as error:
        signature = f"NOT verified: {error}"
    expired = time.time() >= claims.expires
    # repr: whoever made the token chose the names, and may have put in what a terminal obeys.
    write(f"subject    {claims.subject!r}")
    write(f"id         {claims.id!r}")
    write(f"rights     {rights(claims)}")
    write(f"projects   {projects(claims)}")
    if claims.scope.grants:
        write(f"granted    by the token itself, to a trusted publisher of {claims.scope.grants!r}")
    if claims.scope.source:
        write(f"source     {claims.scope.source!r}")
    write(f"{'expired' if expired else 'expires':10} {moment(claims.expires)}")
    write(f"signature  {signature}")
    return 1 if expired or signature.startswith("NOT") else 0
