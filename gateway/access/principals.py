"""Makes principals of identities."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.access.authenticator import Identity
from gateway.principal import ANONYMOUS, Principal
from gateway.rights.policy import Policy


class Principals:
    """Knows what the configuration says about users: their groups, and by the policy what they see."""

    def __init__(self, policy: Policy, groups: Mapping[str, Sequence[str]], version: int = 0) -> None:
        """`groups` are the names of users by group. `version` tells policies from each other: what somebody saw under
        another one must not be shown again."""
        self._policy = policy
        self._version = version
        self._groups: dict[str, frozenset[str]] = {
            name: frozenset(group for group, members in groups.items() if name in members)
            for name in {name for members in groups.values() for name in members}
        }
        self.anonymous = self._seeing(ANONYMOUS)

    def of(self, identity: Identity) -> Principal:
        """The principal has the groups that the authenticator told, and those of the configuration."""
        groups = identity.groups | self._groups.get(identity.name, frozenset())
        return self._seeing(Principal(identity.name, "", groups, identity.admin, identity.token, identity.scope))

    def _seeing(self, principal: Principal) -> Principal:
        view = f"{self._version} {self._policy.view(principal)}"
        return replace(principal, view=hashlib.sha256(view.encode()).hexdigest()[:32])
