"""A question about rights: who, for what, and how the gateway decides. No storage and no directory is asked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from gateway.access.authenticator import Identity
from gateway.access.authenticators.htpasswd import names_in
from gateway.access.principals import Principals
from gateway.config.access.settings import AccessSettings
from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.http.target import is_reserved, key_of, parse_target
from gateway.index.keys import resources_of, root_of
from gateway.index.simple.names import is_project_name, normalize
from gateway.principal import Principal, Right
from gateway.rights.policy import Decision, Listing, Policy, Resource
from gateway.rights.subjects import Subject

_KINDS = ("everyone", "authenticated")
_PREFIXES = ("user:", "group:", "token:")


def parse_who(text: str) -> Subject:
    """Takes the name of a user, too. Raises ValueError, which says what is wrong."""
    if not text.isprintable() or text != text.strip():
        raise ValueError("must not have control characters, or spaces around it")
    if text in _KINDS or text.startswith(_PREFIXES):
        return Subject.parse(text)
    if not text:
        raise ValueError("must be the name of a user, everyone, authenticated, group:NAME or token:ID")
    return Subject("user", text)


def parse_groups(groups: Sequence[str]) -> frozenset[str]:
    """Raises ValueError."""
    for group in groups:
        if not group or not group.isprintable() or group != group.strip():
            raise ValueError(f"{group!r} is no name of a group")
    return frozenset(groups)


def parse_project(settings: Settings, text: str) -> Resource:
    """The project, and what its page stands for. Raises ValueError."""
    project = normalize(text)
    if not is_project_name(project):
        raise ValueError("is no name that a project can have; a path starts with /")
    return replace(resources_of(settings).of(f"{root_of(settings)}{project}/"), projects=(project,))


def parse_path(settings: Settings, text: str) -> Resource:
    """What a path stands for, as in a request to the gateway. Raises ValueError."""
    rewrite, base_path = settings.rewrite, settings.server.base_path
    try:
        path, _ = parse_target(text)
    except GatewayError as error:
        raise ValueError(f"is no path of a request: {error.detail}") from None
    key = key_of(path, base_path=base_path, strip=rewrite.strip_prefix, add=rewrite.add_prefix)
    if key is None:
        raise ValueError(f"is outside {settings.base_path_name}, {base_path}")
    if is_reserved(key):
        raise ValueError("is reserved for the gateway, which serves it to nobody")
    return resources_of(settings).of(key)


@dataclass(frozen=True)
class People:
    """Who is named in the section `access`."""

    access: AccessSettings

    @cached_property
    def policy(self) -> Policy:
        return self.access.policy

    @property
    def directories(self) -> list[str]:
        """The settings of what knows users whom this configuration does not name, or groups that it does not name."""
        access = self.access
        known: Mapping[str, object] = {
            "access.oidc": access.oidc,
            "access.secrets_manager": access.secrets_manager,
            "access.sql": access.sql,
            "access.ldap": access.ldap,
            "access.remote": access.remote,
            "access.authenticators": access.authenticators,
        }
        return [name for name, value in known.items() if value]

    @cached_property
    def subjects(self) -> frozenset[Subject]:
        """Those that a rule or a default grants something."""
        grants = [self.policy.defaults, *(rule.grants for rule in self.policy.rules)]
        return frozenset(subject for some in grants for subjects in some.values() for subject in subjects)

    @cached_property
    def users(self) -> frozenset[str]:
        access = self.access
        members = (name for names in access.groups.values() for name in names)
        named = (subject.name for subject in self.subjects if subject.kind == "user")
        listed = names_in(access.htpasswd) if access.htpasswd is not None else []
        return frozenset([*access.users, *access.admins, *members, *named, *listed])

    @cached_property
    def groups(self) -> frozenset[str]:
        return self.groups_of_rules | self.access.groups.keys()

    @cached_property
    def groups_of_rules(self) -> frozenset[str]:
        return frozenset(subject.name for subject in self.subjects if subject.kind == "group")

    def knows(self, who: Subject) -> bool:
        known: Mapping[str, Callable[[], bool]] = {
            "user": lambda: who.name in self.users,
            "group": lambda: who.name in self.groups,
            "token": lambda: who in self.subjects,
        }
        return who.kind not in known or known[who.kind]()

    def principal(self, who: Subject, groups: frozenset[str] = frozenset()) -> Principal:
        """Somebody who has `groups` besides those of the configuration. Raises ValueError for groups of the
        anonymous."""
        if who.kind == "everyone":
            if groups:
                raise ValueError("everyone is whoever has not logged in, and has no groups")
            return Principal()
        name = who.name if who.kind == "user" else self._nobody
        groups |= {who.name} if who.kind == "group" else set()
        identity = Identity(name, groups, token=who.name if who.kind == "token" else "")
        return Principals(self.policy, self.access.groups).of(identity)

    @property
    def _nobody(self) -> str:
        """The name of a user whom nothing concerns in particular."""
        name = "somebody"
        while name in self.users:
            name += "'"
        return name


def verdicts(policy: Policy, principal: Principal, resource: Resource) -> Iterator[tuple[Right, Decision]]:
    """Decides as the gate does: who may not read has no files fetched, whatever a rule says. Lists can only be read."""
    read = policy.judge(principal, Right.READ, resource)
    yield Right.READ, read
    if resource.listing is not Listing.NO:
        return
    for right in (Right.WRITE, Right.DELETE):
        yield right, policy.judge(principal, right, resource)
    yield Right.FALLBACK, policy.judge(principal, Right.FALLBACK, resource) if read.allowed else read
