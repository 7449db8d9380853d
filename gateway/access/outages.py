"""Which authenticators can't answer, and how long clients wait for those."""

import asyncio
import logging
from collections.abc import Callable

from gateway.access.authenticator import Authenticator, AuthenticatorUnavailableError, Credential, Identity
from gateway.single_flight import retrieve_exception

# One that fails sooner holds nobody up.
_HANGS_SECONDS = 1.0

log = logging.getLogger("gateway.access")


class Outages:
    """An authenticator that took long to fail is asked for one client at a time, which waits for a second. After that,
    and for all others at once, it is unavailable: others that know them let them in, or they hear that none can. One
    that failed partly goes on to be asked by all."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        # Each with the reason of its last failure.
        self.reasons: dict[str, str] = {}
        # Of those, the ones that took long, each with the request that is under way.
        self._hanging: dict[str, asyncio.Task[Identity | None] | None] = {}
        self._tasks: set[asyncio.Task[Identity | None]] = set()

    async def ask(self, authenticator: Authenticator, credential: Credential) -> Identity | None:
        """Raises AuthenticatorUnavailableError."""
        method = authenticator.method
        if method not in self._hanging:
            return await self._answer(authenticator, credential)
        reason = self.reasons[method]  # which an answer to somebody else may take away meanwhile
        if self._hanging[method] is None:
            asking = asyncio.create_task(self._answer(authenticator, credential))
            asking.add_done_callback(retrieve_exception)  # in case nobody waits any more
            self._hanging[method] = asking
            self._tasks.add(asking)
            asking.add_done_callback(self._tasks.discard)
            await asyncio.wait([asking], timeout=_HANGS_SECONDS)
            if asking.done():
                return asking.result()
        raise AuthenticatorUnavailableError(reason)

    async def close(self) -> None:
        """Ends the requests that nobody waits for."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, authenticator: Authenticator, credential: Credential) -> Identity | None:
        method, asked = authenticator.method, self._clock()
        try:
            identity = await authenticator.authenticate(credential)
        except Exception as error:
            if not isinstance(error, AuthenticatorUnavailableError):
                log.exception("the authenticator %s failed: this is a bug", method)
                error = AuthenticatorUnavailableError("it failed: this is a bug")
            self.reasons[method] = str(error)
            if self._clock() - asked >= _HANGS_SECONDS and not error.partly:
                self._hanging[method] = None
            else:
                self._hanging.pop(method, None)
            raise error from None
        self.reasons.pop(method, None)
        self._hanging.pop(method, None)
        return identity
