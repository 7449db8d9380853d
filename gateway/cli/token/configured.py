"""The keys of tokens that the settings name."""

from collections.abc import Iterable

from gateway.access.build import token_keys
from gateway.access.tokens.keys import TokenKey
from gateway.config.settings import Settings
from gateway.errors import ConfigError, Problem


def configured_keys(mounts: Iterable[Settings]) -> list[TokenKey]:
    """Those of the mounts; none where there is no section `access`. Raises ConfigError for one that can't be read."""
    sections = [one.access.tokens for one in mounts if one.access is not None]
    return [key for section in sections for key in token_keys(section)]


def signing_key(settings: Settings) -> TokenKey:
    """The first of the top level that may sign. Raises ConfigError if there is none."""
    keys = token_keys(settings.access.tokens) if settings.access is not None else []
    key = next((key for key in keys if key.may_sign), None)
    if key is not None:
        return key
    if keys:
        message = "has public keys only, which verify tokens: creating one needs the private key"
        raise ConfigError([Problem("access.tokens", "keys", message)])
    message = "creating a token needs a key: openssl rand -base64 32 > FILE, then access.tokens: {keys: [file:/FILE]}"
    raise ConfigError([Problem("access.tokens", "not set", message)])
