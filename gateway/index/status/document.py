"""What is said of projects, and the document that says it. Pure.

It is JSON, such as `{"format": 1, "projects": {"acme-web": {"status": "archived", "reason": "use acme-site"}}}`. A
project that it does not name is active. A status that this version does not know counts as quarantined: it may have
been written by a newer one, or be misspelt, and what it forbids must not be permitted meanwhile.

https://packaging.python.org/en/latest/specifications/project-status-markers/
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from gateway.access.oidc.strict_json import parse_object
from gateway.index.simple.names import is_project_name, normalize

STATUSES = ACTIVE, ARCHIVED, QUARANTINED, DEPRECATED = "active", "archived", "quarantined", "deprecated"
# Some 10,000 projects with a short reason each.
MOST_BYTES = 1024 * 1024
MOST_REASON_CHARS = 1024

_FORMAT = 1
_MOST_STATUS_CHARS = 64


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """`said` is what the document says, `reason` a line for people, which may be empty."""

    said: str = ACTIVE
    reason: str = ""

    @property
    def marker(self) -> str:
        """One of STATUSES."""
        return self.said if self.said in STATUSES else QUARANTINED

    @property
    def offers_files(self) -> bool:
        return self.marker != QUARANTINED

    @property
    def takes_files(self) -> bool:
        return self.marker in (ACTIVE, DEPRECATED)

    def of(self, project: str) -> str:
        """A sentence about the project, without its full stop."""
        return f"Project {project} is {self.marker}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True)
class Statuses:
    """Those of all projects that are not active, by normalised name."""

    projects: Mapping[str, ProjectStatus] = field(default_factory=lambda: MappingProxyType({}))

    @cached_property
    def withheld(self) -> frozenset[str]:
        """The projects that offer no files."""
        return frozenset(name for name, status in self.projects.items() if not status.offers_files)

    def of(self, project: str) -> ProjectStatus | None:
        """None for an active project."""
        return self.projects.get(project)

    def having(self, project: str, status: ProjectStatus) -> "Statuses":
        """The same, but for one project."""
        others = {name: known for name, known in self.projects.items() if name != project}
        return replace(self, projects=others if status.said == ACTIVE else {**others, project: status})

    def encode(self) -> bytes:
        """Raises ValueError if there are more than a document may have."""
        projects = {
            name: {"status": status.said} | ({"reason": status.reason} if status.reason else {})
            for name, status in sorted(self.projects.items())
        }
        document = json.dumps({"format": _FORMAT, "projects": projects}, ensure_ascii=False).encode()
        if len(document) > MOST_BYTES:
            raise ValueError(f"over {MOST_BYTES} bytes")
        return document


def in_a_line(reason: str) -> str:
    """As a document may have it."""
    plain = "".join(char if char.isprintable() else " " for char in reason)
    return " ".join(plain.split())[:MOST_REASON_CHARS].rstrip()


def decode(document: bytes) -> Statuses:
    """Raises ValueError for anything else than such a document: where it can't be understood, nothing is assumed."""
    if len(document) > MOST_BYTES:
        raise ValueError(f"over {MOST_BYTES} bytes")
    said = parse_object(document)
    if type(said.get("format")) is not int or said["format"] != _FORMAT:
        raise ValueError("of another format")
    projects = said.get("projects")
    if not isinstance(projects, dict):
        raise ValueError("without projects")  # noqa: TRY004  callers catch one type
    found = {name: _status(name, value) for name, value in projects.items()}
    return Statuses({name: status for name, status in found.items() if status.said != ACTIVE})


def _status(name: str, value: object) -> ProjectStatus:
    if not is_project_name(name) or normalize(name) != name:
        raise ValueError("a project's name is not normalised")
    match value:
        case {"status": str(said), **more} if 0 < len(said) <= _MOST_STATUS_CHARS and said.isprintable():
            reason = more.get("reason") or ""
            if isinstance(reason, str):
                return ProjectStatus(said, in_a_line(reason))
    raise ValueError(f"the status of {name} is not one, with a reason")
