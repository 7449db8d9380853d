"""pypicloud's rights as rules of the gateway.

One entry for a package turns pypicloud's defaults off for it, whatever the entry grants: each package becomes a rule
that says `only`. Where the entries of several names become one rule, it grants no more than pypicloud does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gateway.cli.pypicloud.report import Report
from gateway.cli.pypicloud.source import Entries, Source, usable
from gateway.index.simple.names import is_project_name, normalize
from gateway.rights.subjects import Subject

_EVERYONE, _AUTHENTICATED = Subject("everyone"), Subject("authenticated")
_ALL_PROJECTS = "*"


@dataclass(frozen=True)
class Defaults:
    """Whom pypicloud's settings name, but for packages. `fetching` are those who may have files fetched from the other
    index, if not everybody who may read, and `deleting` those who may delete, of those who may write."""

    reading: Sequence[Subject]
    writing: Sequence[Subject]
    fetching: Sequence[Subject]
    deleting: Sequence[Subject]


@dataclass(frozen=True)
class Rules:
    """Makes the settings of `access` that tell rights."""

    source: Source
    defaults: Defaults
    report: Report

    def settings(self) -> dict[str, Any]:
        """The settings by name; those at their defaults too."""
        found: dict[tuple[tuple[str, tuple[str, ...]], ...], list[str]] = {}
        for project, entries in self._by_project().items():
            grants = self._grants(entries)
            found.setdefault(grants, []).append(project)
        rules: list[dict[str, Any]] = [
            {"projects": projects, **{right: list(names) for right, names in grants}, "only": True}
            for grants, projects in found.items()
        ]
        return {
            "groups": self._groups(),
            "admins": self._names(self.source.admins, "auth.admins"),
            "default_read": _texts(self.defaults.reading),
            "default_write": _texts(self.defaults.writing),
            "rules": [*rules, *self._for_all()],
        }

    def _for_all(self) -> list[dict[str, Any]]:
        """The rule for packages without entries, if the defaults alone don't say what it has to."""
        rule: dict[str, Any] = {}
        if deleting := self._both(self.defaults.writing, self.defaults.deleting):
            rule["delete"] = _texts(deleting)
        if not self._covers(self.defaults.fetching, self.defaults.reading):
            rule["fallback"] = _texts(self.defaults.fetching)
        return [{"projects": [_ALL_PROJECTS], **rule}] if rule else []

    def _grants(self, entries: Entries) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """By right, without those that nobody has."""
        reading = [subject for subject, rights in entries.items() if "read" in rights]
        writing = [subject for subject, rights in entries.items() if "write" in rights]
        grants = {"read": reading, "write": writing, "delete": self._both(writing, self.defaults.deleting)}
        found = [(right, tuple(_texts(subjects))) for right, subjects in grants.items() if subjects]
        if not self._covers(self.defaults.fetching, reading):
            found.append(("fallback", tuple(_texts(self.defaults.fetching))))
        return tuple(found)

    def _by_project(self) -> dict[str, Entries]:
        """The entries by normalised name."""
        spellings: dict[str, list[str]] = {}
        for name, entries in self.source.packages.items():
            if is_project_name(normalize(name)):
                if entries:
                    spellings.setdefault(normalize(name), []).append(name)
            else:
                self.report.add(f"package {name!r}", "is left out: no project can have this name")
        return {project: self._merged(project, names) for project, names in spellings.items()}

    def _merged(self, project: str, names: Sequence[str]) -> Entries:
        """Of several spellings pypicloud obeys the normalised one. If it is not there, what all of them grant holds."""
        about = f"package {', '.join(map(repr, names))}"
        if project in names:
            if len(names) > 1:
                told = f"is one project. Only {project!r} is taken: pypicloud since 1.0 asks for that name"
                self.report.add(about, told)
            return self._sound(project, self.source.packages[project])
        told = f"pypicloud compares names as written, and since 1.0 asks for {project!r}: there this has no effect"
        if len(names) == 1:
            self.report.add(about, f"{told}. Here it is the rule for {project!r}, as if it were written so")
            return self._sound(names[0], self.source.packages[names[0]])
        self.report.add(about, f"{told}. Here they are one project: what all of them grant is granted, and no more")
        return self._common([self._sound(name, self.source.packages[name]) for name in names])

    def _common(self, several: Sequence[Entries]) -> Entries:
        by_right: dict[str, Sequence[Subject]] = {}
        for right in ("read", "write"):
            first, *others = ([subject for subject, rights in some.items() if right in rights] for some in several)
            for other in others:
                first = self._both(first, other)
            by_right[right] = first
        subjects = dict.fromkeys([*by_right["read"], *by_right["write"]])
        return {one: frozenset(right for right, granted in by_right.items() if one in granted) for one in subjects}

    def _sound(self, package: str, entries: Entries) -> Entries:
        """Without those whom no rule can name."""
        found = {}
        for subject, rights in entries.items():
            if subject.name and not usable(subject.name):
                told = f"what it grants {str(subject)!r} is left out: nobody can be called so here"
                self.report.add(f"package {package!r}", told)
            else:
                found[subject] = rights
        return found

    def _groups(self) -> dict[str, list[str]]:
        found = {}
        for group, members in self.source.groups.items():
            if usable(group):
                found[group] = self._names(members, f"group.{group}")
            else:
                self.report.add("groups", f"{group!r} is left out: no group can be called so here")
        return found

    def _names(self, names: Iterable[str], about: str) -> list[str]:
        found = list(dict.fromkeys(names))
        for name in found:
            if not usable(name):
                self.report.add(about, f"{name!r} is left out: nobody can be called so here")
        return [name for name in found if usable(name)]

    def _both(self, some: Sequence[Subject], others: Sequence[Subject]) -> list[Subject]:
        """Subjects for those who are among both. Two groups, or a group and a user, become the users whom the file has
        in both."""
        found: list[Subject] = []
        for one in some:
            common = [self._common_to(one, other) for other in others]
            found += [one] if [one] in common else [subject for subjects in common for subject in subjects]
        return list(dict.fromkeys(found))

    def _common_to(self, one: Subject, other: Subject) -> list[Subject]:
        if one == other or other == _EVERYONE or (other == _AUTHENTICATED and one != _EVERYONE):
            return [one]
        if one in (_EVERYONE, _AUTHENTICATED):
            return [other]
        return [Subject("user", name) for name in sorted(self._members(one) & self._members(other))]

    def _members(self, subject: Subject) -> frozenset[str]:
        if subject.kind == "user":
            return frozenset({subject.name})
        return self._members_by_group.get(subject.name, frozenset())

    @cached_property
    def _members_by_group(self) -> dict[str, frozenset[str]]:
        return {group: frozenset(filter(usable, members)) for group, members in self.source.groups.items()}

    def _covers(self, some: Sequence[Subject], others: Sequence[Subject]) -> bool:
        """Whether all of `others` are among `some`."""
        return self._both(others, some) == list(dict.fromkeys(others))


def group_subjects(groups: Mapping[str, Subject], about: str, report: Report) -> list[Subject]:
    """The subjects that stand for groups, without those that can't be here."""
    found = []
    for group, subject in groups.items():
        if subject.name and not usable(subject.name):
            report.add(about, f"{group!r} is left out: no group can be called so here")
        else:
            found.append(subject)
    return list(dict.fromkeys(found))


def _texts(subjects: Iterable[Subject]) -> list[str]:
    return [str(subject) for subject in subjects]
