"""Compares a password with a hash that somebody else keeps."""

import logging

from gateway.access.hashing.password_checks import PASSWORD_CHECKS
from gateway.access.hashing.passwords import parse

log = logging.getLogger("gateway.access")


async def matches(stored: str, password: str, *, method: str, decoy: bool) -> bool:
    """Whether `password` fits. A hash that is of no supported kind fits none, and is logged for `method`, without it.
    A `decoy` fits none either, and takes as long as a wrong password.

    Cancelling it takes it out of the queue for a thread. Raises AuthenticatorUnavailableError if too many others wait,
    or there is no memory.
    """
    try:
        parsed = parse(stored)
    except ValueError as error:
        log.warning("%s: a user's hash %s", method, error)
        return False
    if decoy:
        await PASSWORD_CHECKS.pretend(parsed, password.encode())
        return False
    return await PASSWORD_CHECKS.fits(parsed, password.encode())
