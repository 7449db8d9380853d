"""The section `access`."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, SecretStr, model_validator

from gateway.config import types
from gateway.config.access.forward_auth import ForwardAuthSettings
from gateway.config.access.ldap import LdapSettings
from gateway.config.access.login import LoginSettings
from gateway.config.access.oidc import OidcIssuer
from gateway.config.access.remote import RemoteSettings
from gateway.config.access.secrets_manager import SecretsManagerSettings
from gateway.config.access.sql import SqlSettings
from gateway.config.section import Section
from gateway.config.types import CLASS, COMMA_SEPARATED, NonNegativeSeconds, ReadableFile, Refused
from gateway.principal import Right
from gateway.rights.patterns import ProjectPattern
from gateway.rights.policy import Policy, Rule
from gateway.rights.subjects import Subject, is_name

T = TypeVar("T")

# Settings that say whose passwords are believed.
TELLERS_OF_PASSWORDS = frozenset({"users", "htpasswd", "remote", "sql", "ldap", "secrets_manager", "authenticators"})
FILE = "file:"  # in front of the path of what has a key
# What other programs take for a pattern, or for an encoded character.
_NOT_LITERAL = re.compile(r"[*?]|%[0-9A-Fa-f]{2}")


def from_yaml(value: Any) -> Any:
    """What is not text already, or the YAML of it, as environment variables have it."""
    return types.read_yaml(value, "must be YAML, like {name: value} or [one, two]") if isinstance(value, str) else value


def _name(text: str) -> str:
    if not is_name(text):
        raise Refused("must be a name, without a colon, control characters, or spaces around it")
    return text


def _realm(text: str) -> str:
    if not text.isascii() or not text.isprintable() or {'"', "\\"} & set(text):
        raise Refused("must be printable ASCII without quotes and backslashes")
    return text


def _parsed(parse: Callable[[str], T]) -> Callable[[Any], T]:
    def validate(value: Any) -> T:
        if not isinstance(value, str):
            raise Refused("must be text")
        try:
            return parse(value)
        except ValueError as error:
            raise Refused(f"{error}") from None

    return validate


def _class(text: str) -> str:
    if not CLASS.fullmatch(text):
        raise Refused("must be package.module:Class")
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or "//" in text or not text.isprintable() or {".", ".."} & set(text.split("/")):
        raise Refused("must be a path like /docs/, without percent signs for what can be written as it is")
    if text.split("/")[1] == "simple":  # what is there is also found without it
        raise Refused("must be without /simple, which other paths avoid; of a project, give the name in projects")
    if _NOT_LITERAL.search(text):  # it would be compared as it stands here, and hold for nothing
        raise Refused("must be without *, ? and encoded characters such as %20: /docs/ is all that is below it")
    return text if text.endswith("/") else text + "/"


Name = Annotated[str, AfterValidator(_name)]
Names = Annotated[list[Name], COMMA_SEPARATED]
Subjects = Annotated[
    list[Annotated[Subject, PlainValidator(_parsed(Subject.parse)), PlainSerializer(str)]], COMMA_SEPARATED
]
Project = Annotated[ProjectPattern, PlainValidator(_parsed(ProjectPattern.parse)), PlainSerializer(str)]
Projects = Annotated[list[Project], COMMA_SEPARATED]
Paths = Annotated[list[Annotated[str, AfterValidator(_path)]], COMMA_SEPARATED]


class RuleSettings(Section):
    """Who may do what with some projects, or below some paths. A right that is not given is left to the defaults."""

    projects: Projects = Field([], description="Names of projects, or patterns like acme-*")
    paths: Paths = Field([], description="Paths like /docs/, for what is no project")
    read: Subjects | None = Field(None, description="Who may read; like the following, in addition to the defaults")
    write: Subjects | None = Field(None, description="Who may publish")
    delete: Subjects | None = Field(None, description="Who may delete")
    fallback: Subjects | None = Field(
        None, description="Who may have files fetched from the other index; unset: who may read"
    )
    only: bool = Field(False, description="The defaults do not apply")

    @model_validator(mode="after")
    def _speaks_of_something(self) -> "RuleSettings":
        if not self.projects and not self.paths:
            raise Refused("must have projects or paths")
        return self

    def rule(self, name: str) -> Rule:
        """The rule, which messages call `name`."""
        given = {right: getattr(self, right.value) for right in Right}
        grants = {right: subjects for right, subjects in given.items() if subjects is not None}
        return Rule(name, grants, self.projects, self.paths, self.only)


class TokenSettings(Section):
    """The keys of the gateway's own tokens. The first signs, all verify."""

    keys: list[SecretStr] = Field(
        [], description="Text of 32 bytes or more, file:/path of such, or of an Ed25519 key as PEM; the first signs"
    )


class AccessSettings(Section):
    """Who may read and write what. Without this section everyone may read"""

    users: Annotated[dict[Name, SecretStr], BeforeValidator(from_yaml)] = Field(
        {}, description="Users, each with the hash of a password: gateway access hash makes one"
    )
    htpasswd: ReadableFile | None = Field(
        None, description="File of users and hashes, as Apache's htpasswd writes it; read again when it changes"
    )
    tokens: Annotated[TokenSettings, BeforeValidator(from_yaml)] = Field(
        TokenSettings(), description="Keys of tokens: {keys: [file:/path, …]}; the first signs, all verify"
    )
    oidc: Annotated[list[OidcIssuer], BeforeValidator(from_yaml)] = Field(
        [], description="Issuers of JWTs, such as CI jobs have: [{issuer: https://…, audience: packages}]"
    )
    remote: Annotated[RemoteSettings | None, BeforeValidator(from_yaml)] = Field(
        None, description="A service that knows users, asked over HTTP: {url: https://…}"
    )
    sql: Annotated[SqlSettings | None, BeforeValidator(from_yaml)] = Field(
        None, description="Users in pypicloud's tables: {url: postgresql://…}; needs the extra sql"
    )
    ldap: Annotated[LdapSettings | None, BeforeValidator(from_yaml)] = Field(
        None, description="Users in a directory: {url: ldaps://…, user_dn_format: …}; needs the extra ldap"
    )
    secrets_manager: Annotated[SecretsManagerSettings | None, BeforeValidator(from_yaml)] = Field(
        None, description="Users in a secret of AWS Secrets Manager, as pypicloud keeps them: {secret_id: …}"
    )
    authenticators: Annotated[list[Annotated[str, AfterValidator(_class)]], COMMA_SEPARATED] = Field(
        [], description="Authenticators of your own, asked last: package.module:Class"
    )
    forward_auth: Annotated[ForwardAuthSettings | None, BeforeValidator(from_yaml)] = Field(
        None, description="A proxy says in headers who has logged in: {preset: authelia}; needs server.trusted_proxies"
    )
    login: Annotated[LoginSettings | None, BeforeValidator(from_yaml)] = Field(
        None, description="People log in with a browser: {cookie_keys: [file:/path, …]}, with oidc at an issuer"
    )
    groups: Annotated[dict[Name, Names], BeforeValidator(from_yaml)] = Field(
        {}, description="Groups, each with the names of its users"
    )
    admins: Names = Field([], description="Users who may do everything")
    default_read: Subjects = Field(
        [Subject("authenticated")],
        description="Who may read: everyone, authenticated, user:x, group:x, token:x; rules may add to it",
    )
    default_write: Subjects = Field([], description="Who may publish")
    rules: Annotated[list[RuleSettings], BeforeValidator(from_yaml)] = Field(
        [], description="Rights by project or path: {projects: [acme-*], read: [group:x], write: [user:y], only: true}"
    )
    cache_seconds: NonNegativeSeconds = Field(60.0, description="Seconds that a checked credential is remembered")
    max_link_seconds: int = Field(300, ge=1, description="Most seconds that a signed URL is valid")
    realm: Annotated[str, AfterValidator(_realm)] = Field(
        "packages", description="Shown by clients that ask for a password"
    )

    @property
    def has_passwords(self) -> bool:
        """Whether anybody can log in with a password."""
        return any(getattr(self, name) for name in TELLERS_OF_PASSWORDS)

    @property
    def authenticates(self) -> bool:
        """Whether anybody can log in."""
        at_issuer = self.login is not None and self.login.oidc is not None
        return self.has_passwords or at_issuer or bool(self.tokens.keys or self.oidc or self.forward_auth)

    @property
    def key_files(self) -> Sequence[Path]:
        """The files that have keys and the like."""
        login = self.login
        secrets = [*self.tokens.keys, *(login.cookie_keys if login is not None else ())]
        if login is not None and login.oidc is not None and login.oidc.client_secret is not None:
            secrets.append(login.oidc.client_secret)
        texts = [secret.get_secret_value() for secret in secrets]
        return [Path(text.removeprefix(FILE)) for text in texts if text.startswith(FILE)]

    @property
    def policy(self) -> Policy:
        """What the rules, the defaults and the admins say."""
        rules = [rule.rule(f"access.rules[{number}]") for number, rule in enumerate(self.rules, 1)]
        defaults = {Right.READ: self.default_read, Right.WRITE: self.default_write}
        return Policy(rules, defaults, frozenset(self.admins))
