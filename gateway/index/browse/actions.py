"""What those who look at a page may change there."""

from dataclasses import dataclass

from gateway.index.readable import CurrentPolicy
from gateway.index.resources import Resources
from gateway.principal import Principal, Right


@dataclass(frozen=True, slots=True)
class Actions:
    """What a page offers: to upload files, to yank and to delete what is there, to say what has become of it."""

    upload: bool = False
    yank: bool = False
    delete: bool = False
    status: bool = False


NO_ACTIONS = Actions()


class PermittedActions:
    """For gateways that take uploads."""

    def __init__(self, current: CurrentPolicy, resources: Resources, root: str, *, marks: bool = False) -> None:
        """`root` is the key above all projects. Without a policy everybody may upload, and nobody may do more. `marks`:
        projects have a status."""
        self._marks = marks
        self._current = current
        self._resources = resources
        self._root = root

    def at(self, principal: Principal, project: str) -> Actions:
        """At the page of a project, by its normalised name."""
        policy = self._current.policy
        if policy is None:
            return Actions(upload=True)
        resource = self._resources.of(f"{self._root}{project}/")
        write, delete = (policy.judge(principal, right, resource).allowed for right in (Right.WRITE, Right.DELETE))
        return Actions(upload=write, yank=write, delete=delete, status=write and self._marks)

    def at_root(self, principal: Principal) -> Actions:
        """At the list of all projects: there, files of any project can be uploaded."""
        policy = self._current.policy
        return Actions(upload=policy is None or policy.judge_any(principal, Right.WRITE).allowed)
