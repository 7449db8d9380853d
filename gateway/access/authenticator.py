"""What an authenticator is: something that knows who presents some credentials.

Users can name one of their own as `package.module:Class`.
"""

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from gateway.principal import Scope


@dataclass(frozen=True, slots=True)
class Password:
    """A user and a password, as HTTP Basic carries them (RFC 7617). Either may be empty."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token, as HTTP Bearer carries it (RFC 6750)."""

    token: str = field(repr=False)


Credential: TypeAlias = Password | BearerToken


def possible_tokens(credential: Credential) -> tuple[str, ...]:
    """The texts that may be a token: clients that know only users and passwords send it as either."""
    return (credential.token,) if isinstance(credential, BearerToken) else (credential.password, credential.user)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a credential belongs to. `name` is not empty. `token` and `scope` are those of a Principal. The credential
    is not believed beyond `expires`, in seconds since the epoch."""

    name: str
    groups: frozenset[str] = frozenset()
    admin: bool = False
    token: str = ""
    scope: Scope | None = None
    expires: float = float("inf")


class AuthenticatorUnavailableError(Exception):
    """The authenticator can't tell now whose the credential is, because what it asks is down. The text says why, for
    the log; it holds no secret. `partly`: of other credentials it may be able to tell."""

    def __init__(self, why: str, *, partly: bool = False) -> None:
        super().__init__(why)
        self.partly = partly


class Authenticator(Protocol):
    """`method` names it in logs and metrics: htpasswd, token, ldap. `guessable` tells whether somebody could find a
    credential by trying many: then wrong ones are limited by address. Whoever calls it remembers what it says for
    `access.cache_seconds`. It must not do long work on the event loop."""

    method: str
    guessable: bool

    async def start(self) -> None:
        """Raises ConfigError if it can't be used at all."""
        ...

    async def authenticate(self, credential: Credential) -> Identity | None:
        """None if the credential is not known here, or wrong. Raises AuthenticatorUnavailableError within seconds if
        that can't be known now."""
        ...

    async def close(self) -> None: ...
