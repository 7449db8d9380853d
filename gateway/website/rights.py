"""What somebody may do with the paths of a site."""

from gateway.index.readable import CurrentPolicy
from gateway.index.resources import Resources
from gateway.principal import Principal, Right


class SiteRights:
    """Asks the policy that is in force."""

    def __init__(self, current: CurrentPolicy, resources: Resources) -> None:
        self._current = current
        self._resources = resources

    @property
    def limited(self) -> bool:
        """Whether there is a policy."""
        return self._current.policy is not None

    def permits(self, principal: Principal, right: Right, key: str) -> bool:
        """Whether the principal has the right to what the key stands for. Without a policy everybody has."""
        policy = self._current.policy
        return policy is None or policy.judge(principal, right, self._resources.of(key)).allowed
