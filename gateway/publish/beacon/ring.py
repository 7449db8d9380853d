"""The content of the beacon: the newest changes. Pure.

It is JSON, such as `{"version": 1, "changes": [["9f86d081884c7d65", "acme-web"]]}`, with the newest change at the end.
A reader remembers the id of the newest change that it has seen. If that id is no longer there, the reader can't know
what it has missed: others have made more changes than there is room for, or somebody has replaced or removed the
object, or the storage has let a write win that it should have refused.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.index.simple.names import is_project_name

MOST_CHANGES = 256
# Above what 256 of the longest names take.
MOST_BYTES = 64 * 1024

_VERSION = 1
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Change:
    """A project that got a file. No other change has the `id`; `project` is normalised."""

    id: str
    project: str


@dataclass(frozen=True, slots=True)
class Ring:
    """Changes, the oldest first, at most MOST_CHANGES."""

    changes: tuple[Change, ...] = ()

    @property
    def position(self) -> str:
        """The id of the newest change; empty if there is none."""
        return self.changes[-1].id if self.changes else ""

    def has_any_of(self, changes: Iterable[Change]) -> bool:
        return not {change.id for change in changes}.isdisjoint(change.id for change in self.changes)

    def with_changes(self, changes: Iterable[Change]) -> "Ring":
        """The same ring with these changes at the end. The oldest make room for them."""
        return Ring((*self.changes, *changes)[-MOST_CHANGES:])

    def since(self, position: str) -> tuple[Change, ...] | None:
        """The changes after the one that was the newest; None if that can't be told, so that all may have changed."""
        if position == self.position:
            return ()
        ids = [change.id for change in self.changes]
        return self.changes[ids.index(position) + 1 :] if position in ids else None

    def encode(self) -> bytes:
        changes = [[change.id, change.project] for change in self.changes]
        return json.dumps({"version": _VERSION, "changes": changes}, separators=(",", ":")).encode()


def decode(content: bytes) -> Ring:
    """Raises ValueError for what is not such a ring, word for word: whoever may write to the storage has made it."""
    if len(content) > MOST_BYTES:
        raise ValueError(f"over {MOST_BYTES} bytes")
    try:
        value = json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict) or value.keys() != {"version", "changes"}:
        raise ValueError("not an object of version and changes")
    version, changes = value["version"], value["changes"]
    if type(version) is not int or version != _VERSION:
        raise ValueError("of another version")
    if not isinstance(changes, list) or not 0 < len(changes) <= MOST_CHANGES:
        raise ValueError(f"not a list of 1 to {MOST_CHANGES} changes")
    ring = Ring(tuple(map(_change, changes)))
    if len({change.id for change in ring.changes}) != len(changes):
        raise ValueError("two changes have the same id")
    return ring


def _change(value: object) -> Change:
    match value:
        case [str(identifier), str(project)] if _ID.fullmatch(identifier) and is_project_name(project):
            return Change(identifier, project)
    raise ValueError("a change is not an id and a project")
