"""Who may do what, written from the sentences of the manual, and sharing nothing with gateway/rights."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

from gateway.principal import Principal, Right

# Globs of projects, paths, subjects by right, and `only`.
GivenRule: TypeAlias = tuple[Sequence[str], Sequence[str], Mapping[Right, Sequence[str]], bool]


def may(
    rules: Sequence[GivenRule],
    defaults: Mapping[Right, Sequence[str]],
    admins: frozenset[str],
    who: Principal,
    right: Right,
    project: str,
    path: str,
) -> bool:
    """The manual's sentences, one after the other."""
    names = {"everyone"}
    if who.name:
        names |= {"authenticated", f"user:{who.name}", *(f"group:{group}" for group in who.groups)}
    if who.token:
        names.add(f"token:{who.token}")
    if who.scope is not None:
        if right not in who.scope.rights:
            return False
        if who.scope.projects and not [glob for glob in who.scope.projects if fnmatchcase(project, glob)]:
            return False
    if who.name and (who.admin or who.name in admins):
        return True

    def granted(rule: GivenRule | None) -> bool:
        wanted = right
        if right is Right.FALLBACK and (rule is None or Right.FALLBACK not in rule[2]):
            wanted = Right.READ
        allowed = set(rule[2].get(wanted, [])) if rule is not None else set()
        if rule is None or not rule[3]:
            allowed |= set(defaults.get(wanted, []))
        return bool(allowed & names)

    def literal(glob: str) -> tuple[bool, int, int]:
        return (not set("*?") & set(glob), len(glob.replace("*", "").replace("?", "")), glob.count("?"))

    matching = [(literal(glob), rule) for rule in rules for glob in rule[0] if fnmatchcase(project, glob)]
    by_project = max(matching, key=lambda one: one[0])[1] if matching and project else None
    inside = [(len(prefix), rule) for rule in rules for prefix in rule[1] if f"{path}/".startswith(prefix)]
    by_path = max(inside, key=lambda one: one[0])[1] if inside else None
    if by_path is None:
        return granted(by_project)
    return granted(by_path) and (by_project is None or granted(by_project))
