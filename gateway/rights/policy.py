"""Decides what a principal may do with a project or a path.

One rule applies to a project: the one whose pattern is the most specific of those that match. It adds to the defaults,
or replaces them if it says `only`. Admins may do everything. A token may do what its user may, within its scope; one
of a trusted publisher grants that scope by itself, and no rule limits it further.

A rule may name paths instead, for what is no project: the longest prefix applies. Where a rule for projects applies as
well, both have to permit a request.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache

from gateway.principal import Principal, Right, Scope
from gateway.rights.patterns import ProjectPattern
from gateway.rights.subjects import Subject


@dataclass(frozen=True, slots=True)
class Rule:
    """Speaks of `projects` or of `paths`, which start and end with a slash. A right that `grants` lacks is granted by
    the defaults alone. `name` is where the rule stands, for messages."""

    name: str
    grants: Mapping[Right, Sequence[Subject]]
    projects: Sequence[ProjectPattern] = ()
    paths: Sequence[str] = ()
    only: bool = False


# Longer names, which no project has, are not remembered.
_MAX_REMEMBERED = 255
_MAX_PRINCIPALS = 1024


class Listing(Enum):
    """Whether a page names all projects. What is FILTERED shows each reader only what that reader may read; what is
    STORED names all if the storage is an index, as rules about projects show."""

    NO = "no"
    STORED = "stored"
    FILTERED = "filtered"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Resource:
    """What a request is for. `projects` are the normalised names of those it may belong to, and `paths` the canonical
    paths under which it is known: each of them has to permit the request."""

    projects: tuple[str, ...] = ()
    paths: tuple[str, ...] = ("/",)
    listing: Listing = Listing.NO


@dataclass(frozen=True, slots=True)
class Decision:
    """`why` is for logs and for people who ask; it says which rule decided."""

    allowed: bool
    why: str


@dataclass(frozen=True)
class Policy:
    """Rights that neither a rule nor a default grants are nobody's; but who may read may also have files fetched,
    unless a rule says who."""

    rules: Sequence[Rule] = ()
    defaults: Mapping[Right, Sequence[Subject]] = field(default_factory=dict)
    admins: frozenset[str] = frozenset()

    def decide(self, principal: Principal, right: Right, *, project: str = "", path: str = "") -> Decision:
        """`project` is a normalised name, or empty for what belongs to none; `path` is canonical."""
        scope = principal.scope
        if scope is not None and not _permits(scope, right, project):
            return Decision(False, f"the token {principal.token!r} is not for {right.value}{_of(project)}")
        if scope is not None and scope.grants:
            return _granted(principal, right)
        if self._is_admin(principal):
            return Decision(True, f"{principal.name!r} is an admin")
        decision = Decision(False, "")
        for rule in self._applicable(project, path):
            decision = self._by(rule, principal, right)
            if not decision.allowed:
                return decision
        return decision

    def judge(self, principal: Principal, right: Right, resource: Resource) -> Decision:
        """The decision about everything that the resource may be. A page that is filtered may be read by who may read
        any project at all, and a complete one by who may read every project."""
        listing = resource.listing
        if listing is Listing.STORED:
            listing = Listing.COMPLETE if any(rule.projects for rule in self.rules) else Listing.NO
        if listing is not Listing.NO:
            decision = self._listing_for(principal, listing is Listing.COMPLETE)
            places = [self._of_path(path) for path in resource.paths]
            rules = () if not decision.allowed or self._is_admin(principal) else filter(None, places)
            return next((by for rule in rules if not (by := self._by(rule, principal, right)).allowed), decision)
        decision = Decision(False, "")
        for path in resource.paths:
            for project in resource.projects or ("",):
                decision = self.decide(principal, right, project=project, path=path)
                if not decision.allowed:
                    return decision
        return decision

    @cached_property
    def _listing_for(self) -> Callable[[Principal, bool], Decision]:
        """Remembers what `_listing` found: it takes some 2 µs for each rule, and anybody may ask for the list."""
        return lru_cache(maxsize=_MAX_PRINCIPALS)(self._listing)

    def _listing(self, principal: Principal, complete: bool) -> Decision:
        scope = principal.scope
        if scope is not None and (Right.READ not in scope.rights or (complete and scope.projects)):
            return Decision(False, f"the token {principal.token!r} is not for this list of projects")
        if self._is_admin(principal):
            return Decision(True, f"{principal.name!r} is an admin")
        rules = [rule for rule in self.rules if rule.projects or complete]
        by = [self._by(rule, principal, Right.READ) for rule in (None, *rules)]
        refused = [decision for decision in by if not decision.allowed]
        if (complete and refused) or len(refused) == len(by):
            return refused[0]
        return next(decision for decision in by if decision.allowed)

    def grants_everyone(self, right: Right) -> bool:
        """Whether anything is permitted to who has not logged in."""
        subjects = [self.defaults.get(right, ()), *(rule.grants.get(right, ()) for rule in self.rules)]
        return any(subject.kind == "everyone" for some in subjects for subject in some)

    def judge_any(self, principal: Principal, right: Right) -> Decision:
        """Whether the principal has the right to anything that there may be."""
        scope = principal.scope
        if scope is not None and right not in scope.rights:
            return Decision(False, f"the token {principal.token!r} is not for {right.value}")
        if scope is not None and scope.grants:
            return _granted(principal, right)
        if self._is_admin(principal):
            return Decision(True, f"{principal.name!r} is an admin")
        by = [self._by(rule, principal, right) for rule in (None, *self.rules)]
        return next((decision for decision in by if decision.allowed), by[0])

    @property
    def speaks_of_paths(self) -> bool:
        """Whether the right to a project is not all that its files need."""
        return bool(self._by_path)

    def view(self, principal: Principal) -> str:
        """The same text for principals to whom every decision about READ and FALLBACK is the same."""
        return self._view_of(principal)

    @cached_property
    def _view_of(self) -> Callable[[Principal], str]:
        """Remembers views: a token may come with any user, as another credential each time."""
        return lru_cache(maxsize=_MAX_PRINCIPALS)(self._view)

    def _view(self, principal: Principal) -> str:
        if self._is_admin(principal):
            bits = "admin"
        else:
            bits = "".join(
                "-1"[self._by(rule, principal, right).allowed]
                for rule in (None, *self.rules)
                for right in (Right.READ, Right.FALLBACK)
            )
        scope = principal.scope
        if scope is None:
            return bits
        rights = sorted(right.value for right in scope.rights & {Right.READ, Right.FALLBACK})
        return f"{bits} {'+'.join(rights)}: {' '.join(sorted(set(scope.projects)))}"

    def _is_admin(self, principal: Principal) -> bool:
        return bool(principal.name) and (principal.admin or principal.name in self.admins)

    def _applicable(self, project: str, path: str) -> Iterator[Rule | None]:
        """The rules that all have to permit; None stands for the defaults alone."""
        by_project = self._rule_of(project) if 0 < len(project) <= _MAX_REMEMBERED else self._of_project(project)
        by_path = self._of_path(path)
        if by_project is not None or by_path is None:
            yield by_project
        if by_path is not None:
            yield by_path

    @cached_property
    def _rule_of(self) -> Callable[[str], Rule | None]:
        """Remembers what `_of_project` found: to try hundreds of patterns takes longer than the rest of a request."""
        return lru_cache(maxsize=4096)(self._of_project)

    def _of_project(self, project: str) -> Rule | None:
        if not project:
            return None
        found = [
            (pattern.specificity, rule) for rule in self.rules for pattern in rule.projects if pattern.matches(project)
        ]
        return max(found, key=lambda one: one[0])[1] if found else None

    def _of_path(self, path: str) -> Rule | None:
        for prefix, rule in self._by_path:
            if path.startswith(prefix) or path == prefix[:-1]:
                return rule
        return None

    @cached_property
    def _by_path(self) -> Sequence[tuple[str, Rule]]:
        """The longest prefix first."""
        found = [(prefix, rule) for rule in self.rules for prefix in rule.paths]
        return sorted(found, key=lambda one: -len(one[0]))

    def _by(self, rule: Rule | None, principal: Principal, right: Right) -> Decision:
        if right is Right.FALLBACK and (rule is None or right not in rule.grants):
            right = Right.READ
        for source, subjects in self._grants(rule, right):
            for subject in subjects:
                if subject.is_one(principal):
                    return Decision(True, f"{source} grants {right.value} to {subject}")
        who = repr(principal.name) if principal.name else "the anonymous"
        if rule is None:
            refusal = "nothing grants"
        else:
            refusal = f"{rule.name} does not grant" if rule.only else f"neither {rule.name} nor a default grants"
        return Decision(False, f"{refusal} {right.value} to {who}")

    def _grants(self, rule: Rule | None, right: Right) -> Iterator[tuple[str, Sequence[Subject]]]:
        if rule is not None:
            yield rule.name, rule.grants.get(right, ())
        if rule is None or not rule.only:
            yield f"access.default_{right.value}", self.defaults.get(right, ())


def collisions(rules: Sequence[Rule]) -> Iterator[str]:
    """What is wrong with these rules: two of them that are equally specific, and could both apply."""
    # Only those in one group are compared with each other: there may be thousands of names.
    alike: dict[tuple[object, str], list[tuple[ProjectPattern, Rule]]] = {}
    for rule in rules:
        for pattern in rule.projects:
            is_name = pattern.specificity[0]
            others = alike.setdefault((pattern.specificity, pattern.text if is_name else ""), [])
            for other, its_rule in others:
                if rule is not its_rule and pattern.overlaps(other):
                    both = f"{its_rule.name} ({other.text}) and {rule.name} ({pattern.text})"
                    yield f"{both} could both apply to a project"
            others.append((pattern, rule))
    prefixes: dict[str, Rule] = {}
    for rule in rules:
        for prefix in rule.paths:
            if prefixes.setdefault(prefix, rule) is not rule:
                yield f"{prefixes[prefix].name} and {rule.name} both speak of {prefix}"


def _permits(scope: Scope, right: Right, project: str) -> bool:
    if right not in scope.rights:
        return False
    return not scope.projects or any(_pattern(text).matches(project) for text in scope.projects)


def _granted(principal: Principal, right: Right) -> Decision:
    return Decision(True, f"the token {principal.token!r} itself grants {right.value}")


def _of(project: str) -> str:
    return f" of {project!r}" if project else ""


@lru_cache(maxsize=4096)
def _pattern(text: str) -> ProjectPattern:
    return ProjectPattern.parse(text)
