"""Which credentials were right when they were checked last."""

import hmac
import secrets

from gateway.access.authenticator import BearerToken, Credential
from gateway.cache.lru import LruCache, MemoryLimit, weight_of

_MAX_BYTES = 1024 * 1024


class FamiliarCredentials:
    """Familiar credentials are no guesses: their owners are not held up by others who guess from the same address. That
    lasts while credentials are checked anew because users or the configuration have changed, so that all gates of a
    process share this."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._slots = LruCache[bytes, bool](
            "familiar credentials", MemoryLimit(_MAX_BYTES), lambda slot, right: weight_of(slot)
        )

    def slot(self, credential: Credential) -> bytes:
        """A keyed hash, which is the same however a client spells the header."""
        if isinstance(credential, BearerToken):
            text = f"bearer {credential.token}"
        else:
            text = f"basic {credential.user}:{credential.password}"  # no user has a colon
        return hmac.digest(self._key, text.encode("utf-8", "surrogateescape"), "sha256")

    def __contains__(self, slot: bytes) -> bool:
        return self._slots.get(slot) is not None  # counts as a use

    def note(self, slot: bytes, *, right: bool) -> None:
        """What a check has found."""
        if right:
            self._slots.put(slot, True)
        else:
            self._slots.pop(slot)
