"""Hashes of passwords, as htpasswd, mkpasswd, passlib and argon2 write them.

Their libraries are imported when the first hash of their kind is verified.
"""

import base64
import hashlib
import hmac
import importlib
import re
from dataclasses import dataclass, field

from gateway.access.authenticator import AuthenticatorUnavailableError
from gateway.access.hashing import libcrypt
from gateway.errors import ConfigError, Problem

MAX_PASSWORD_BYTES = 1024
# bcrypt takes no more. htpasswd and most other programs ignore the rest, and so does `verify`.
BCRYPT_PASSWORD_BYTES = 72
_NEW_BCRYPT_COST = 12

_MAX_BCRYPT_COST = 16
_MAX_SHA_CRYPT_ROUNDS = 1_000_000
_MAX_ARGON2_KIB = 256 * 1024
_MAX_ARGON2_PASSES = 10
_MAX_ARGON2_LANES = 16

_FORMS = {
    "bcrypt": re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}"),
    "sha-crypt": re.compile(
        r"(\$[56]\$(?:rounds=([1-9][0-9]{0,9})\$)?[./A-Za-z0-9]{0,16})\$(?:[./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})"
    ),
    "apr1": re.compile(r"\$apr1\$[./A-Za-z0-9]{0,8}\$[./A-Za-z0-9]{22}"),
    "argon2": re.compile(
        r"\$argon2id\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,9}),p=([1-9][0-9]{0,9})"
        r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
    ),
    "SHA": re.compile(r"\{SHA\}([A-Za-z0-9+/]{27}=)"),
}
_BEGINNINGS = {"$2": "bcrypt", "$5$": "sha-crypt", "$6$": "sha-crypt", "$apr1$": "apr1", "$argon2": "argon2"}


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """Comes from `parse`. `scheme` is a key of _FORMS."""

    scheme: str
    text: str = field(repr=False)

    def verify(self, password: bytes) -> bool:
        """Blocks for as long as the hash wants it: seconds, perhaps. Raises AuthenticatorUnavailableError if there is
        not enough memory."""
        if len(password) > MAX_PASSWORD_BYTES or b"\0" in password:  # half of the programs end a password at a NUL
            return False
        try:
            return self._matches(password)
        except ValueError:  # a library found a fault in the hash that `parse` has not
            return False

    def _matches(self, password: bytes) -> bool:
        if self.scheme == "bcrypt":
            import bcrypt

            return bcrypt.checkpw(password[:BCRYPT_PASSWORD_BYTES], self.text.encode())
        if self.scheme == "argon2":
            return _verify_argon2(self.text, password)
        if self.scheme == "sha-crypt":
            return _verify_sha_crypt(self.text, password)
        if self.scheme == "apr1":
            from passlib.hash import apr_md5_crypt

            return bool(apr_md5_crypt.verify(password, self.text))
        digest = hashlib.sha1(password, usedforsecurity=False).digest()
        return hmac.compare_digest(base64.b64decode(self.text[len("{SHA}") :]), digest)


def parse(text: str) -> PasswordHash:
    """Raises ValueError if the hash is of no known kind, or would take too long or too much memory. Its text says what
    is wrong and quotes nothing."""
    for scheme, form in _FORMS.items():
        if found := form.fullmatch(text):
            _check_cost(scheme, found)
            return PasswordHash(scheme, text)
    for beginning, scheme in _BEGINNINGS.items():
        if text.startswith(beginning):
            detail = "; of argon2, only argon2id in version 19 is read" if scheme == "argon2" else ""
            raise ValueError(f"begins like {scheme}, but is no complete hash of that kind{detail}")
    raise ValueError("is no hash of a known kind (bcrypt, argon2id, sha-crypt, apr1, {SHA}): gateway access hash")


def _check_cost(scheme: str, found: re.Match[str]) -> None:
    if scheme == "bcrypt" and not 4 <= int(found[1]) <= _MAX_BCRYPT_COST:
        raise ValueError(f"has a bcrypt cost that is not within 4 and {_MAX_BCRYPT_COST}")
    if scheme == "sha-crypt":
        digest_length = 43 if found[0].startswith("$5") else 86
        if len(found[0]) - len(found[1]) - 1 != digest_length:
            raise ValueError("begins like sha-crypt, but is no complete hash of that kind")
        if found[2] and not 1000 <= int(found[2]) <= _MAX_SHA_CRYPT_ROUNDS:
            raise ValueError(f"has sha-crypt rounds that are not within 1,000 and {_MAX_SHA_CRYPT_ROUNDS:,}")
    if scheme == "argon2":
        memory, passes, lanes = (int(found[group]) for group in (1, 2, 3))
        if memory > _MAX_ARGON2_KIB or passes > _MAX_ARGON2_PASSES or lanes > _MAX_ARGON2_LANES:
            raise ValueError(
                f"has argon2 parameters over m={_MAX_ARGON2_KIB} (256 MiB), t={_MAX_ARGON2_PASSES} "
                f"or p={_MAX_ARGON2_LANES}"
            )
        if memory < 8 * lanes or any(len(found[group]) % 4 == 1 for group in (4, 5)):
            raise ValueError("begins like argon2, but is no complete hash of that kind")


def require_libraries() -> None:
    """Imports what verifies hashes. Raises ConfigError if a library is missing."""
    for module in ("bcrypt", "argon2", "passlib.hash"):
        try:
            importlib.import_module(module)
        except ImportError:
            message = "verifying passwords needs libraries: pip install 's3-package-gateway[access]'"
            raise ConfigError([Problem("access", f"{module.partition('.')[0]} is missing", message)]) from None


def new_hash(password: bytes) -> str:
    """A bcrypt hash. Raises ValueError for a password that bcrypt would shorten; ConfigError without its library."""
    if not password:
        raise ValueError("the password is empty")
    if b"\0" in password:
        raise ValueError("the password has a NUL in it")
    if len(password) > BCRYPT_PASSWORD_BYTES:
        raise ValueError(f"the password has over {BCRYPT_PASSWORD_BYTES} bytes, and bcrypt ignores the rest")
    require_libraries()
    import bcrypt

    return bcrypt.hashpw(password, bcrypt.gensalt(_NEW_BCRYPT_COST)).decode()


def _verify_sha_crypt(text: str, password: bytes) -> bool:
    if len(password) > libcrypt.MAX_PASSWORD_BYTES:  # everywhere, so that moving to another system changes nothing
        return False
    hashed = libcrypt.crypt(password, text.encode())
    if hashed is not None and not hashed.startswith(b"*"):
        return hmac.compare_digest(hashed, text.encode())
    from passlib.hash import sha256_crypt, sha512_crypt

    return bool((sha256_crypt if text.startswith("$5") else sha512_crypt).verify(password, text))


def _verify_argon2(text: str, password: bytes) -> bool:
    from argon2 import exceptions
    from argon2.low_level import Type, verify_secret

    try:
        return verify_secret(text.encode(), password, Type.ID)
    except exceptions.VerifyMismatchError:
        return False
    except exceptions.VerificationError as error:
        raise AuthenticatorUnavailableError(f"argon2: {error}") from None
