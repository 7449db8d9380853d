"""Names and the hashes of their passwords."""

import hashlib
from collections.abc import Mapping

from gateway.access.authenticator import Credential, Identity, Password
from gateway.access.hashing.password_checks import PASSWORD_CHECKS
from gateway.access.hashing.passwords import MAX_PASSWORD_BYTES, PasswordHash


class UserTable:
    """An unknown name costs as much time as a known one: the password is verified against the hash of some user, always
    the same for the same name, and the result is dropped. The key of that choice is made of the hashes, so that all
    workers choose alike."""

    def __init__(self, hashes: Mapping[str, PasswordHash]) -> None:
        self.hashes = dict(hashes)
        self._decoys = sorted(self.hashes.values(), key=lambda known: known.text)
        self._key = hashlib.sha256("\n".join(known.text for known in self._decoys).encode()).digest()

    async def identify(self, credential: Credential) -> Identity | None:
        """None for an unknown user, a wrong password, and a bearer token."""
        if not isinstance(credential, Password) or not self.hashes:
            return None
        try:
            name, password = credential.user.encode(), credential.password.encode()
        except UnicodeEncodeError:  # lone surrogates
            return None
        if len(password) > MAX_PASSWORD_BYTES or b"\0" in password:
            return None
        known = self.hashes.get(credential.user)
        if known is None:
            await PASSWORD_CHECKS.pretend(self._decoy(name), password)
            return None
        return Identity(credential.user) if await PASSWORD_CHECKS.fits(known, password) else None

    def _decoy(self, name: bytes) -> PasswordHash:
        number = int.from_bytes(hashlib.blake2b(name, key=self._key, digest_size=8).digest(), "big")
        return self._decoys[number % len(self._decoys)]
