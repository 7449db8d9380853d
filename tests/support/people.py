"""An authenticator for tests: a few people, whose passwords are pw-NAME. Named in `access.authenticators`."""

from gateway.access.authenticator import AuthenticatorUnavailableError, Credential, Identity, Password

GROUPS = {"alice": {"data"}, "bob": {"data", "release"}, "carol": set[str](), "dave": set[str]()}


class People:
    method = "people"
    guessable = True
    asked = 0  # of all instances
    down = False

    async def start(self) -> None: ...

    async def authenticate(self, credential: Credential) -> Identity | None:
        type(self).asked += 1
        if self.down:
            raise AuthenticatorUnavailableError("the people are away")
        if not isinstance(credential, Password) or credential.password != f"pw-{credential.user}":
            return None
        if credential.user not in GROUPS:
            return None
        return Identity(credential.user, frozenset(GROUPS[credential.user]))

    async def close(self) -> None: ...


class Away(People):
    """Can't tell who anybody is."""

    down = True


class Everybody(People):
    """Lets in whoever asks."""

    async def authenticate(self, credential: Credential) -> Identity | None:
        return Identity(credential.user) if isinstance(credential, Password) else None


class Nobody(People):
    """Knows none of them."""

    async def authenticate(self, credential: Credential) -> Identity | None:
        return None
