"""Finds out whose credentials a request has, and remembers it."""

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.access.attempts import Attempts
from gateway.access.authenticator import Authenticator, AuthenticatorUnavailableError, Credential, Identity, Password
from gateway.access.credentials import is_token, parse_authorization
from gateway.access.familiar import FamiliarCredentials
from gateway.access.outages import Outages
from gateway.access.principals import Principals
from gateway.cache.limited_log import LimitedLog
from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.errors import AuthenticationBusyError, CredentialsRefusedError, TooManyAttemptsError
from gateway.principal import Principal
from gateway.single_flight import SingleFlight

_MAX_BYTES = 4 * 1024 * 1024
_MAX_TOKEN_BYTES = 2 * 1024 * 1024
_MAX_REFUSED_BYTES = 256 * 1024
_ENTRY_BYTES = 1024
# Wrong credentials are repeated by installers, once for each page.
_REFUSED_SECONDS = 30.0
log = logging.getLogger("gateway.access")


@dataclass(frozen=True, slots=True)
class Known:
    """Whose a credential is, who said so, and until when that is believed, by a monotonic clock in seconds. `identity`
    is what the authenticator said, `principal` what the configuration makes of it."""

    identity: Identity
    principal: Principal
    method: str
    until: float


class Authentication:
    """Asks the authenticators in order, first those whose credentials nobody can guess. The first that knows a
    credential is believed.

    Credentials are remembered as a keyed hash, never as they are. While an authenticator is down, what it knew is used
    for `cache_seconds` and not longer.
    """

    def __init__(
        self,
        authenticators: Sequence[Authenticator],
        attempts: Attempts,
        principals: Principals,
        outcomes: Counter[tuple[str, str]],
        familiar: FamiliarCredentials,
        *,
        cache_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`outcomes` are counted by authenticator and result. `wall` is the time in seconds since the epoch, by which
        credentials expire."""
        self._sure = [authenticator for authenticator in authenticators if not authenticator.guessable]
        self._guessable = [authenticator for authenticator in authenticators if authenticator.guessable]
        self._attempts = attempts
        self._principals = principals
        self._cache_seconds = cache_seconds
        self._clock, self._wall = clock, wall
        self._familiar = familiar
        # Apart, so that wrong credentials, of which there may be many, evict no right ones; nor do tokens, which may
        # come with any user, evict passwords: these take long to check.
        self._known = LruCache[bytes, Known]("credentials", MemoryLimit(_MAX_BYTES), _weight)
        self._known_tokens = LruCache[bytes, Known]("tokens", MemoryLimit(_MAX_TOKEN_BYTES), _weight)
        self._refused = LruCache[bytes, float]("refused credentials", MemoryLimit(_MAX_REFUSED_BYTES), _weight_refused)
        self._asking = SingleFlight[Known | None]()
        self._forgotten = 0
        self._outages = Outages(clock)
        self._log = LimitedLog(log)
        self.outcomes = outcomes

    async def start(self) -> None:
        for authenticator in (*self._sure, *self._guessable):
            await authenticator.start()

    async def close(self) -> None:
        await self._asking.close()
        await self._outages.close()
        for authenticator in (*self._sure, *self._guessable):
            try:
                await authenticator.close()
            except Exception:  # the others are closed all the same
                log.exception("the authenticator %s can't be closed: this is a bug", authenticator.method)

    @property
    def methods(self) -> Sequence[str]:
        """The authenticators, in the order in which they are asked."""
        return [authenticator.method for authenticator in (*self._sure, *self._guessable)]

    async def tried(self) -> Mapping[str, str]:
        """Asks each authenticator that knows passwords for a user that nobody is. Returns those that can't tell, or
        know this one, each with what is wrong."""
        nobody = Password("gateway-check", secrets.token_hex(8))
        faults = dict[str, str]()
        for authenticator in self._guessable:
            try:
                known = await self._outages.ask(authenticator, nobody)
            except AuthenticatorUnavailableError as error:
                faults[authenticator.method] = f"can't check credentials: {error}"
            else:
                if known is not None:  # as a service does that says by other means than 401 what is wrong
                    faults[authenticator.method] = "lets in whoever asks: it has let in a user with a random password"
        return faults

    def down(self) -> Mapping[str, str]:
        """The authenticators that failed when they were last asked, each with the reason."""
        return self._outages.reasons

    def forget(self) -> None:
        """Has all credentials checked anew, because what the authenticators know has changed."""
        self._forgotten += 1
        self._known.clear()
        self._known_tokens.clear()
        self._refused.clear()

    def known(self, authorization: str) -> Known | None:
        """What is remembered of the value of an Authorization header, if it is right."""
        credential = parse_authorization(authorization)
        return self._current(self._familiar.slot(credential)) if credential is not None else None

    async def identify(self, authorization: str, client: str) -> Known:
        """Whose credentials these are. `client` is the address that sent them.

        Raises CredentialsRefusedError if they are wrong, TooManyAttemptsError, and AuthenticationBusyError if that
        can't be known now.
        """
        known, credential = None, parse_authorization(authorization)
        if credential is not None:
            slot = self._familiar.slot(credential)
            known = self._current(slot)
            if known is None and self._clock() >= (self._refused.get(slot) or 0.0):
                known = await self._asking.once((slot, self._forgotten), lambda: self._ask(credential, slot, client))
        if known is None:
            self.outcomes["none", "refused"] += 1
            raise CredentialsRefusedError("wrong credentials")
        return known

    def _current(self, slot: bytes) -> Known | None:
        known = self._known.get(slot) or self._known_tokens.get(slot)
        if known is None or self._clock() >= known.until:
            return None
        return known

    async def _ask(self, credential: Credential, slot: bytes, client: str) -> Known | None:
        generation, remembered = self._forgotten, self._known_tokens
        known = await self._first(self._sure, credential)
        if known is None:
            known, remembered = await self._guess(credential, slot, client), self._known
        if generation != self._forgotten:
            return known  # what it was made of may have changed since
        if known is not None:
            remembered.put(slot, known)
        else:
            self._refused.put(slot, self._clock() + min(self._cache_seconds, _REFUSED_SECONDS))
        return known

    async def _guess(self, credential: Credential, slot: bytes, client: str) -> Known | None:
        if not self._guessable or is_token(credential):
            return None
        if slot not in self._familiar and (wait := self._attempts.wait(client)) > 0:
            self.outcomes["none", "limited"] += 1
            raise TooManyAttemptsError("too many wrong credentials", wait=wait)
        self._attempts.failed(client)  # before the outcome is known: many may be tried at once
        wrong = False
        try:
            known = await self._first(self._guessable, credential)
            wrong = known is None
            self._familiar.note(slot, right=not wrong)
        except AuthenticationBusyError as error:
            # What one has refused is a guess, though another may know it, unless it was right before.
            wrong = error.refused and slot not in self._familiar
            raise
        finally:
            if not wrong:
                self._attempts.forgive(client)
        return known

    async def _first(self, authenticators: Sequence[Authenticator], credential: Credential) -> Known | None:
        """The first answer. Raises AuthenticationBusyError if there is none, and not all could be asked."""
        unavailable, refused = "", False
        for authenticator in authenticators:
            method, asked = authenticator.method, self._clock()
            try:
                identity = await self._outages.ask(authenticator, credential)
            except AuthenticatorUnavailableError as error:
                unavailable = str(error)
                # A message of its own for each, so that one that fails often hides no other.
                self._log.write(logging.WARNING, f"{method} can't check credentials: %s", error)
                continue
            refused = refused or identity is None
            if identity is not None and identity.name and (left := identity.expires - self._wall()) > 0:
                return Known(identity, self._principals.of(identity), method, asked + min(self._cache_seconds, left))
        if unavailable:
            self.outcomes["none", "unavailable"] += 1
            raise AuthenticationBusyError(unavailable, refused=refused)
        return None


def _weight(slot: bytes, known: Known) -> int:
    principal = known.principal
    return weight_of(slot) + weight_of((principal.name, principal.token, *principal.groups)) + _ENTRY_BYTES


def _weight_refused(slot: bytes, until: float) -> int:
    return weight_of(slot) + weight_of(until)
