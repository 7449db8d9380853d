"""Exceptions from the policy, each with an author, a reason and an end; and the document that has them. Pure.

It is JSON, such as `{"format": 1, "exceptions": [{"project": "leftpad", "versions": "==2.1", "until": 1800000000,
"reason": "SEC-12", "author": "ann", "made": 1790000000}]}`, with times in seconds since the epoch.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from gateway.access.oidc.strict_json import parse_object
from gateway.policy.rule import ReleaseRule
from gateway.policy.verdict import Action
from gateway.rights.patterns import ProjectPattern

MOST_BYTES = 1024 * 1024
# Each is tried with each project.
_MOST = 2000
MOST_CHARACTERS = 500
_FORMAT = 1
# So long an exception that has ended is still shown.
_KEPT_SECONDS = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class PolicyException:
    """Lets in the versions of a project (or a pattern of projects) that the specifier `versions` permits, or all if it
    is empty, before `until`. Times are in seconds since the epoch."""

    project: str
    versions: str
    until: float
    reason: str
    author: str
    made: float = 0.0

    @property
    def about(self) -> str:
        return f"{self.project}{self.versions}"

    def rule(self) -> ReleaseRule:
        return ReleaseRule(
            name=f"the exception for {self.about} by {self.author}",
            action=Action.ALLOW,
            reason=self.reason,
            until=self.until,
            projects=[ProjectPattern.parse(self.project)],
            versions=SpecifierSet(self.versions) if self.versions else None,
        )


def having(known: Iterable[PolicyException], one: PolicyException, now: float) -> list[PolicyException]:
    """With `one`, in place of another about the same versions; without those that ended long ago."""
    return [*without(known, one.about, now), one]


def without(known: Iterable[PolicyException], about: str, now: float) -> list[PolicyException]:
    return [one for one in known if one.about != about and one.until > now - _KEPT_SECONDS]


def encode(exceptions: Sequence[PolicyException]) -> bytes:
    """Raises ValueError if there are more than a document may have."""
    fields = [{name: getattr(one, name) for name in PolicyException.__slots__} for one in exceptions]
    document = json.dumps({"format": _FORMAT, "exceptions": fields}, ensure_ascii=False).encode()
    if len(document) > MOST_BYTES or len(fields) > _MOST:
        raise ValueError(f"over {MOST_BYTES} bytes, or {_MOST} exceptions")
    return document


def decode(document: bytes) -> list[PolicyException]:
    """Raises ValueError for anything else than such a document."""
    if len(document) > MOST_BYTES:
        raise ValueError(f"over {MOST_BYTES} bytes")
    said = parse_object(document)
    if type(said.get("format")) is not int or said["format"] != _FORMAT:
        raise ValueError("of another format")
    found = said.get("exceptions")
    if not isinstance(found, list):
        raise ValueError("without exceptions")  # noqa: TRY004  callers catch one type
    if len(found) > _MOST:
        raise ValueError(f"over {_MOST} exceptions")
    return [_exception(value, number) for number, value in enumerate(found, 1)]


def _exception(value: object, number: int) -> PolicyException:
    match value:
        case {
            "project": str(project),
            "versions": str(versions),
            "until": int() | float() as until,
            "reason": str(reason),
            "author": str(author),
            "made": int() | float() as made,
        } if _is_usable((project, versions, reason, author), (until, made)):
            try:
                ProjectPattern.parse(project)
                SpecifierSet(versions)
            except (ValueError, InvalidSpecifier):
                pass
            else:
                return PolicyException(project, versions, float(until), reason, author, float(made))
    raise ValueError(f"exception {number} is none")


def _is_usable(texts: Iterable[str], times: Iterable[float]) -> bool:
    return all(len(text) <= MOST_CHARACTERS and text.isprintable() for text in texts) and all(
        not isinstance(time, bool) and math.isfinite(time) and time >= 0 for time in times
    )
