"""What is to become of a release. Pure."""

from dataclasses import dataclass
from enum import Enum

from packaging.version import Version

from gateway.principal import Right


class Action(Enum):
    """What can be done with files that are published."""

    YANK = "yank"
    UNYANK = "unyank"
    DELETE = "delete"

    @property
    def right(self) -> Right:
        """The right that it takes."""
        return Right.DELETE if self is Action.DELETE else Right.WRITE

    @property
    def done(self) -> str:
        """What can be said of a file afterwards."""
        return {Action.YANK: "is yanked", Action.UNYANK: "is not yanked", Action.DELETE: "is deleted"}[self]


@dataclass(frozen=True, slots=True)
class Change:
    """For all files of a version of a project, by its normalised name; or for one `file` of them. `forget`: the names
    of files that are deleted may come back with other bytes."""

    action: Action
    project: str
    version: Version
    file: str | None = None
    reason: str = ""
    forget: bool = False
