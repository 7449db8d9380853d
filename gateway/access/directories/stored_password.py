"""Compares a password with a hash that somebody else keeps."""

import logging

from gateway.access.passwords import parse
from gateway.executors import PASSWORDS

log = logging.getLogger("gateway.access")


async def matches(stored: str, password: str, *, method: str) -> bool:
    """Whether `password` fits. A hash that is of no supported kind fits none, and is logged for `method`, without it.

    Cancelling it takes it out of the queue for a thread. Raises AuthenticatorUnavailableError if there is no memory.
    """
    try:
        parsed = parse(stored)
    except ValueError as error:
        log.warning("%s: a user's hash %s", method, error)
        return False
    return await PASSWORDS.run(parsed.verify, password.encode())
