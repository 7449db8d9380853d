"""Failures of the work in the background: none of them ends the work on other files."""

import logging

from gateway.errors import GatewayError

log = logging.getLogger("gateway.index")


def log_failure(message: str, name: str, error: Exception) -> None:
    """Logs `message`, which has a place for `name`. An error that nobody expects is logged with its traceback."""
    expected = isinstance(error, GatewayError)
    log.log(logging.INFO if expected else logging.ERROR, f"{message}: %s", name, error, exc_info=not expected)
