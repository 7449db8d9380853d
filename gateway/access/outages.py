"""Which authenticators can't answer, and how many clients wait for those."""

import logging
from collections.abc import Callable

from gateway.access.authenticator import Authenticator, AuthenticatorUnavailableError, Credential, Identity

# One that fails sooner holds nobody up.
_HANGS_SECONDS = 1.0

log = logging.getLogger("gateway.access")


class Outages:
    """Of an authenticator that took long to fail, only one client at a time waits for the answer. For the others it is
    unavailable at once, so that they are let in by those that do answer, or hear that they can't be."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        # Each with the reason of its last failure.
        self.reasons: dict[str, str] = {}
        # Of those, the ones that took long, each with whether somebody waits for it now.
        self._hanging: dict[str, bool] = {}

    async def ask(self, authenticator: Authenticator, credential: Credential) -> Identity | None:
        """Raises AuthenticatorUnavailableError."""
        method, asked = authenticator.method, self._clock()
        if self._hanging.get(method):
            raise AuthenticatorUnavailableError(self.reasons[method])
        hangs = method in self._hanging
        if hangs:
            self._hanging[method] = True
        try:
            identity = await authenticator.authenticate(credential)
        except Exception as error:
            if not isinstance(error, AuthenticatorUnavailableError):
                log.exception("the authenticator %s failed: this is a bug", method)
                error = AuthenticatorUnavailableError("it failed: this is a bug")
            self.reasons[method] = str(error)
            hangs = self._clock() - asked >= _HANGS_SECONDS
            raise error from None
        else:
            self.reasons.pop(method, None)
            hangs = False
            return identity
        finally:
            if hangs:
                self._hanging[method] = False
            else:
                self._hanging.pop(method, None)
