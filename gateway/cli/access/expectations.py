"""The file of expectations about rights that `gateway access test` reads: a list in YAML.

- {who: alice, project: acme-web, may: [read, write], may_not: [delete]}
- {who: authenticated, groups: [release], project: acme-web, may: [write]}
- {who: everyone, path: /docs/, may: [read]}
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from gateway.cli.access.question import People, parse_groups, parse_path, parse_project, parse_who
from gateway.config.settings import Settings
from gateway.principal import Principal, Right
from gateway.rights.policy import Listing, Resource

_KEYS = ("who", "groups", "project", "path", "may", "may_not")
_RIGHTS = {right.value: right for right in Right}


@dataclass(frozen=True, slots=True)
class Expectation:
    """That somebody may do something, or may not. `line` is that of the entry, and starts at 1."""

    line: int
    who: str
    principal: Principal
    what: str
    resource: Resource
    right: Right
    allowed: bool


class ExpectationsError(Exception):
    """What is wrong with the file; each of `mistakes` has its place."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def read(file: Path, settings: Settings, people: People) -> list[Expectation]:
    """Raises ExpectationsError with every mistake found."""
    found, mistakes = [], []
    for number, node in enumerate(_entries(file), 1):
        try:
            found += [*_expectations(node, settings, people)]
        except _MistakeError as mistake:
            mistakes.append(f"{file}:{mistake.line}: entry {number}: {mistake}")
    if mistakes:
        raise ExpectationsError(mistakes)
    return found


class _MistakeError(ValueError):
    def __init__(self, node: yaml.Node, text: str) -> None:
        super().__init__(text)
        self.line = node.start_mark.line + 1


def _entries(file: Path) -> list[yaml.Node]:
    try:
        root = yaml.compose(file.read_text("utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ExpectationsError([f"{file}: can't be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ExpectationsError([f"{file}: is not UTF-8 text"]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ExpectationsError(
            [f"{file}:{mark.line + 1 if mark else 1}: is not valid YAML: {error.problem}"]
        ) from None
    except yaml.YAMLError as error:
        raise ExpectationsError([f"{file}: is not valid YAML: {' '.join(str(error).split())}"]) from None
    except RecursionError:
        raise ExpectationsError([f"{file}: is nested too deeply"]) from None
    if root is None or not root.value:
        raise ExpectationsError([f"{file}: is empty, and so tests nothing"])
    if not isinstance(root, yaml.SequenceNode):
        raise ExpectationsError([f"{file}: must be a list, like - {{who: alice, project: acme-web, may: [read]}}"])
    return list(root.value)


def _expectations(node: yaml.Node, settings: Settings, people: People) -> Iterator[Expectation]:
    entry = _fields(node)
    who, principal = _who(node, entry, people)
    what, resource = _what(node, entry, settings)
    expected: dict[Right, bool] = {}
    for key, allowed in (("may", True), ("may_not", False)):
        for text, place in _texts(entry.get(key)):
            right = _right(text, place, resource)
            if right in expected:
                raise _MistakeError(place, f"{text} is there twice")
            expected[right] = allowed
    if not expected:
        raise _MistakeError(node, "expects nothing: give may or may_not, with read, write, delete or fallback")
    for right, allowed in expected.items():
        yield Expectation(node.start_mark.line + 1, who, principal, what, resource, right, allowed)


def _fields(node: yaml.Node) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise _MistakeError(node, "must be a mapping, like {who: alice, project: acme-web, may: [read]}")
    entry: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        if name not in _KEYS:
            near = difflib.get_close_matches(name, _KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_KEYS)}"
            raise _MistakeError(key, f"{name!r} is not known; {hint}")
        if name in entry:
            raise _MistakeError(key, f"{name} is given twice")
        entry[name] = value
    return entry


def _who(node: yaml.Node, entry: dict[str, yaml.Node], people: People) -> tuple[str, Principal]:
    """The principal must be one that some rule could concern: a typing error would make every `may_not` hold."""
    if "who" not in entry:
        raise _MistakeError(node, "needs who: a user, everyone, authenticated, group:NAME or token:ID")
    text, place = _text(entry["who"], "who"), entry["who"]
    given = list(_texts(entry.get("groups")))
    try:
        subject = parse_who(text)
    except ValueError as error:
        raise _MistakeError(place, f"who {text!r} {error}") from None
    if not people.knows(subject):
        hint = "; for users whom only a directory knows, write authenticated, and their groups"
        detail = hint if subject.kind == "user" else ""
        raise _MistakeError(place, f"the configuration names no {subject.kind} {subject.name!r}{detail}")
    for group, its_place in given:
        if group not in people.groups:
            raise _MistakeError(its_place, f"the configuration names no group {group!r}")
    groups = [group for group, _ in given]
    try:
        principal = people.principal(subject, parse_groups(groups))
    except ValueError as error:
        raise _MistakeError(entry["groups"], f"groups: {error}") from None
    return text + (f" in {', '.join(groups)}" if groups else ""), principal


def _what(node: yaml.Node, entry: dict[str, yaml.Node], settings: Settings) -> tuple[str, Resource]:
    if ("project" in entry) == ("path" in entry):
        raise _MistakeError(node, "needs either a project or a path")
    key = "project" if "project" in entry else "path"
    text = _text(entry[key], key)
    try:
        return text, parse_project(settings, text) if key == "project" else parse_path(settings, text)
    except ValueError as error:
        raise _MistakeError(entry[key], f"{key} {text!r} {error}") from None


def _right(text: str, node: yaml.Node, resource: Resource) -> Right:
    if text not in _RIGHTS:
        raise _MistakeError(node, f"{text!r} is no right; there are {', '.join(_RIGHTS)}")
    if resource.listing is not Listing.NO and text != Right.READ.value:
        raise _MistakeError(node, f"{text} makes no sense for the list of all projects, which can only be read")
    return _RIGHTS[text]


def _text(node: yaml.Node, key: str) -> str:
    """As it is written: a user may be called `no`."""
    if not isinstance(node, yaml.ScalarNode):
        raise _MistakeError(node, f"{key} must be one text")
    return str(node.value)


def _texts(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """The texts of a list, or one text."""
    for item in node.value if isinstance(node, yaml.SequenceNode) else [node] if node is not None else []:
        if not isinstance(item, yaml.ScalarNode):
            raise _MistakeError(item, "must be a list of texts, like [read, write]")
        yield str(item.value), item
