"""Builds the gate that the settings describe."""

import importlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from gateway.access.attempts import Attempts
from gateway.access.authentication import Authentication
from gateway.access.authenticator import Authenticator
from gateway.access.authenticators.htpasswd import Htpasswd
from gateway.access.authenticators.ldap import LdapAuthenticator
from gateway.access.authenticators.oidc import Oidc
from gateway.access.authenticators.remote_http import RemoteAuthenticator
from gateway.access.authenticators.secrets_manager import SecretsManagerAuthenticator
from gateway.access.authenticators.sql import SqlAuthenticator
from gateway.access.authenticators.tokens import Tokens
from gateway.access.authenticators.users import Users
from gateway.access.familiar import FamiliarCredentials
from gateway.access.gate import Gate
from gateway.access.login.forward_auth import ForwardAuth
from gateway.access.login.issuer_login import IssuerLogin
from gateway.access.login.login import Login
from gateway.access.login.password_login import PasswordLogin
from gateway.access.login.signed_cookie import CookieKeys, parse_cookie_key
from gateway.access.principals import Principals
from gateway.access.tokens.keys import TokenKey, parse_key
from gateway.access.tokens.revocations import LastList, Revocations
from gateway.config.access.login import LoginIssuer, LoginSettings
from gateway.config.access.settings import FILE, AccessSettings, TokenSettings
from gateway.errors import ConfigError, Problem
from gateway.storage.base import Storage

T = TypeVar("T")

_PARTS = ("method", "guessable", "start", "authenticate", "close")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
# Such as vault:secret/key, arn:aws:…, FILE:/path, <path:…>, what SOPS has encrypted, ${KEY}, $(KEY), and {{ key }}.
# Random texts seldom look like one, whatever signs they have.
_REFERENCE = re.compile(
    r"(?:[a-z][a-z0-9+.-]+|[A-Z]{2,}|[A-Za-z]+(?=:/)):\S|<path:|ENC\[|.*(?:\$\{.*\}|\$\(.*\)|\{\{.*\}\})", re.DOTALL
)


def build_gate(
    settings: AccessSettings,
    storage: Storage,
    forget: Callable[[], None],
    outcomes: Counter[tuple[str, str]],
    familiar: FamiliarCredentials,
    version: int = 0,
    revoked: LastList | None = None,
) -> Gate:
    """`forget` is called when answers given so far may no longer be permitted; `outcomes` are counted by authenticator
    and result; `familiar` and `revoked` are for all gates of a process; `version` tells these from each other. Raises
    ConfigError for settings that can't be used."""
    policy = settings.policy

    def changed() -> None:
        authentication.forget()
        forget()

    keys = token_keys(settings.tokens)
    authenticators = [*_configured(settings, keys, storage, changed, revoked)]
    principals = Principals(policy, settings.groups, version)
    authentication = Authentication(
        authenticators,
        Attempts(time.monotonic),
        principals,
        outcomes,
        familiar,
        cache_seconds=settings.cache_seconds,
    )
    forward_auth = ForwardAuth(*settings.forward_auth.headers) if settings.forward_auth is not None else None
    login = None
    if settings.login is not None:
        login = _login(settings.login, authentication, principals, outcomes)
    return Gate(policy, principals, authentication, settings.realm, forward_auth, login, keys)


def _login(
    settings: LoginSettings,
    authentication: Authentication,
    principals: Principals,
    outcomes: Counter[tuple[str, str]],
) -> Login:
    keys = CookieKeys(tuple(_keys("access.login", settings.cookie_keys, parse_cookie_key)))
    at_issuer = _at_issuer(settings.oidc, keys) if settings.oidc is not None else None
    with_password = PasswordLogin(authentication, keys)
    return Login(keys, settings.session_seconds, with_password, at_issuer, principals, outcomes)


def _configured(
    settings: AccessSettings,
    keys: Sequence[TokenKey],
    storage: Storage,
    changed: Callable[[], None],
    revoked: LastList | None,
) -> Iterator[Authenticator]:
    """The authenticators in the order in which they are asked: what costs the least comes first. `keys` are those of
    tokens."""
    if keys:
        yield Tokens(keys, Revocations(storage, changed, revoked))
    if settings.oidc:
        yield Oidc(settings.oidc)
    if settings.users:
        yield Users({name: secret.get_secret_value() for name, secret in settings.users.items()})
    if settings.htpasswd is not None:
        yield Htpasswd(settings.htpasswd, changed)
    if settings.secrets_manager is not None:
        yield SecretsManagerAuthenticator(settings.secrets_manager)
    if settings.sql is not None:
        yield SqlAuthenticator(settings.sql)
    if settings.ldap is not None:
        yield LdapAuthenticator(settings.ldap)
    if settings.remote is not None:
        yield RemoteAuthenticator(settings.remote)
    yield from map(_loaded, settings.authenticators)


def _loaded(name: str) -> Authenticator:
    module, _, attribute = name.partition(":")
    try:
        authenticator: Authenticator = getattr(importlib.import_module(module), attribute)()
    except Exception as error:  # whatever their code raises
        raise ConfigError([Problem("access.authenticators", name, f"can't be loaded: {error}")]) from error
    if missing := [part for part in _PARTS if not hasattr(authenticator, part)]:
        raise ConfigError([Problem("access.authenticators", name, f"is no authenticator: it has no {missing[0]}")])
    return authenticator


def _secret(text: str) -> str:
    """The text, unless it was meant to be something else: whoever knows a path, a public key, or the name of a variable
    could sign with it. Raises ValueError."""
    if text.startswith("ssh-"):
        raise ValueError("is a public key of ssh; make a key: openssl rand -base64 32")
    if text.startswith(("/", "./", "../", "~/")) and not _BASE64.fullmatch(text):
        raise ValueError(f"looks like a path; for what is in a file write {FILE}/path")
    if _REFERENCE.match(text):
        raise ValueError(f"looks like a reference that nothing has replaced; for what is in a file write {FILE}/path")
    return text


def _at_issuer(settings: LoginIssuer, keys: CookieKeys) -> IssuerLogin:
    secrets = [settings.client_secret] if settings.client_secret is not None else []
    texts = _keys("access.login", secrets, str.strip, "client_secret")
    return IssuerLogin(settings, texts[0] if texts else None, keys)


def token_keys(settings: TokenSettings) -> list[TokenKey]:
    """Raises ConfigError."""
    return _keys("access.tokens", settings.keys, parse_key)


def _keys(
    setting: str, secrets: Sequence[SecretStr], parse: Callable[[str], T], called: str = "key number {}"
) -> list[T]:
    """The keys that are texts, or are in files; messages call them so. Raises ConfigError."""
    keys, problems = [], []
    for number, secret in enumerate(secrets, 1):
        text = secret.get_secret_value()
        try:
            keys.append(parse(Path(text.removeprefix(FILE)).read_text() if text.startswith(FILE) else _secret(text)))
        except UnicodeDecodeError:
            problems.append(Problem(setting, called.format(number), "is not text"))
        except (OSError, ValueError) as error:
            what = f"can't be read: {error.strerror}" if isinstance(error, OSError) else str(error)
            problems.append(Problem(setting, called.format(number), what))
    if problems:
        raise ConfigError(problems)
    return keys
