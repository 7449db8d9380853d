"""Records in OSV's format, and the short documents in which the gateway keeps what it needs of them. Pure.

https://ossf.github.io/osv-schema/

An advisory affects the versions that it lists, and those in its ranges of the type ECOSYSTEM. One about malware
mostly lists versions; if the whole project is malware, it has a range that begins at 0 and never ends.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gateway.policy.advisory import MALWARE, Advisory, Severity, VersionRange
from gateway.policy.cvss import base_score, rating

ECOSYSTEM = "PyPI"
# Of one record, listed versions and range events together.
MAX_ITEMS = 10_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_PROJECT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,126}[a-z0-9])?")
_MAX_VERSION = 128
_MAX_SUMMARY = 200
_MAX_ALIASES = 100
_FROM_THE_FIRST = ("introduced", "0")  # it sorts before all versions
_ANY = Version("0")
_SEVERITIES = {"LOW": Severity.LOW, "MODERATE": Severity.MEDIUM, "MEDIUM": Severity.MEDIUM}
_SEVERITIES |= {"HIGH": Severity.HIGH, "CRITICAL": Severity.CRITICAL}
_EVENTS = ("introduced", "fixed", "last_affected")
_encoded = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class _Range(NamedTuple):
    """With the texts of its versions, as they are written: introduced, fixed, last."""

    range: VersionRange
    texts: list[str | None]


def documents(record: object) -> Mapping[str, str]:
    """By normalised project, what `advisory_of` reads. Empty if the record has been withdrawn, is about other
    ecosystems, or affects no version. Raises ValueError if it can't be read."""
    fields = _mapping(record)
    name = fields.get("id")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError("it has no id")
    if _text(fields.get("withdrawn")):
        return {}
    found: dict[str, tuple[list[str], list[_Range]]] = {}
    for affected in map(_mapping, _list(fields.get("affected"))):
        package = _mapping(affected.get("package") or {})
        if package.get("ecosystem") == ECOSYSTEM:
            listed, ranges = found.setdefault(_project(package.get("name")), ([], []))
            versions = _texts(affected.get("versions"))
            ranges += _ranges(affected, needed=not versions)
            listed += versions
    aliases = [alias for alias in _list(fields.get("aliases")) if isinstance(alias, str) and _ID.fullmatch(alias)]
    head = [name, _summary(fields), aliases[:_MAX_ALIASES], int(_severity(fields))]
    return {
        project: _encoded([*head, kept, [one.texts for one in ranges]])
        for project, (listed, ranges) in found.items()
        if (kept := _beyond(ranges, listed)) or ranges
    }


def advisory_of(document: str) -> Advisory:
    """Raises ValueError if the document is damaged."""
    try:
        name, summary, aliases, severity, listed, ranges = json.loads(document)
        versions = frozenset(version for text in listed if (version := _version(text)) is not None)
        found = tuple(VersionRange(*(Version(text) if text else None for text in one)) for one in ranges)
        return Advisory(name, summary, tuple(aliases), Severity(severity), versions, found)
    except (TypeError, RecursionError, InvalidVersion) as error:
        raise ValueError("an advisory is damaged") from error


def _ranges(affected: Mapping[str, Any], *, needed: bool) -> Iterator[_Range]:
    """Those that can be read. Raises ValueError at one that can't be, if it is `needed`: versions are listed for
    readers that don't know their order."""
    for one in map(_mapping, _list(affected.get("ranges"))):
        if one.get("type") == "ECOSYSTEM":
            try:
                yield from _intervals(_list(one.get("events")))
            except ValueError:
                if needed:
                    raise


def _intervals(events: Sequence[Any]) -> list[_Range]:
    """Each from an event that introduces the flaw to the next one that ends it. A `limit`, which is not meant for
    versions that have an order, is ignored: more versions are affected then, not fewer."""
    if len(events) > MAX_ITEMS:
        raise ValueError("a range has too many events")
    timeline = [_event(name, event[name]) for event in map(_mapping, events) for name in _EVENTS if name in event]
    timeline.sort(key=_moment)  # stable: what is equal stays as written
    found, affected = list[_Range](), False
    text: str | None
    since, since_text = None, None
    for name, text, version in timeline:
        if name != "introduced" and affected:
            fixed = name == "fixed"
            one = VersionRange(since, version, None) if fixed else VersionRange(since, None, version)
            found.append(_Range(one, [since_text, text, None] if fixed else [since_text, None, text]))
            affected = False
        elif name == "introduced" and not affected:
            since, since_text, affected = version, text if version is not None else None, True
    return [*found, _Range(VersionRange(since), [since_text, None, None])] if affected else found


def _event(name: str, value: object) -> tuple[str, str, Version | None]:
    """With its version, or None for what sorts before any version."""
    text = _text(value)
    if (name, text) == _FROM_THE_FIRST:
        return name, text, None
    version = _version(text)
    if version is None:
        raise ValueError("an event has no version")
    return name, text, version


def _moment(event: tuple[str, str, Version | None]) -> tuple[bool, Version]:
    return event[2] is not None, event[2] or _ANY


def _beyond(ranges: Sequence[_Range], listed: Sequence[str]) -> Sequence[str]:
    """The listed versions that no range has: osv.dev lists those of the ranges, too, which would be most of the data.
    Raises ValueError if there are too many."""
    kept = listed
    if ranges:
        kept = [text for text in listed if (version := _version(text)) is not None and not _has(ranges, version)]
    if len(kept) > MAX_ITEMS:
        raise ValueError("it lists too many versions")
    return kept


def _has(ranges: Sequence[_Range], version: Version) -> bool:
    for one in ranges:  # noqa: SIM110  any() takes half as long again
        if one.range.has(version):
            return True
    return False


def _severity(fields: Mapping[str, Any]) -> Severity:
    """By the worst CVSS vector of version 3, or as the database says. Malware has none."""
    if fields["id"].startswith(MALWARE):
        return Severity.UNKNOWN
    entries = [fields, *_list(fields.get("affected"))]
    vectors = [one for entry in entries for one in _list(entry.get("severity"))]
    scores = [score for one in vectors if (score := _score(one)) is not None]
    if scores:
        return rating(max(scores))
    said = [entry.get("database_specific") for entry in entries]
    words = [one.get("severity") for one in said if isinstance(one, dict)]
    known = [_SEVERITIES.get(word.upper(), Severity.UNKNOWN) for word in words if isinstance(word, str)]
    return max(known, default=Severity.UNKNOWN)


def _score(entry: object) -> float | None:
    vector = entry.get("score") if isinstance(entry, dict) and entry.get("type") == "CVSS_V3" else None
    return _known_score(vector) if isinstance(vector, str) else None


@lru_cache(maxsize=1024)
def _known_score(vector: str) -> float | None:
    try:
        return base_score(vector)
    except ValueError:
        return None


def _summary(fields: Mapping[str, Any]) -> str:
    """One line: those of PyPA have no summary, but details. Characters that don't print could forge other lines."""
    for name in ("summary", "details"):
        text = fields.get(name)
        if isinstance(text, str) and (lines := text[: 10 * _MAX_SUMMARY].split("\n")):
            line = next((line.strip() for line in lines if line.strip()), "")
            if not line.isprintable():
                line = "".join(character for character in line if character.isprintable())
            if line:
                return line if len(line) <= _MAX_SUMMARY else f"{line[: _MAX_SUMMARY - 1]}…"
    return ""


def _project(name: object) -> str:
    normalised = canonicalize_name(_text(name))
    if not _PROJECT.fullmatch(normalised):
        raise ValueError("a package has no name that a project can have")
    return normalised


@lru_cache(maxsize=16384)
def _version(text: str) -> Version | None:
    """The advisories of a project have many versions in common."""
    try:
        return Version(text) if len(text) <= _MAX_VERSION else None
    except InvalidVersion:
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError("it has something else where an object belongs")


def _list(value: object) -> Sequence[Any]:
    if isinstance(value, list):
        return value
    if value is None:
        return []
    raise ValueError("it has something else where a list belongs")


def _texts(value: object) -> Sequence[str]:
    found = _list(value)
    if not {*map(type, found)} <= {str}:  # JSON has no other texts
        raise ValueError("it has something else where a text belongs")
    return found


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise ValueError("it has something else where a text belongs")
