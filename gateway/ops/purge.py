"""What an administrator has dropped from the caches: how it is asked for, and how workers tell each other. Pure."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal
from urllib.parse import parse_qsl

from packaging.utils import canonicalize_name

from gateway.cache.disk.keys import Keys
from gateway.errors import BadRequestError
from gateway.ops.names import PROJECT_NAME

EVERYTHING = "*"  # no mount has this name
MOST_BODY_BYTES = 64 * 1024
_MOST = 100
_MAX_NAME_BYTES = 1024  # S3's limit for keys
_HINT = (
    "Name what is dropped, up to 100 times: key=NAME, prefix=NAME or project=NAME, and mount=NAME for those of one "
    'mount, or for all of it; or send JSON like {"mount": "docs", "keys": [], "prefixes": ["a/"], "projects": []}'
)

Kind = Literal["key", "prefix", "project"]
_PLURALS: dict[str, Kind] = {"keys": "key", "prefixes": "prefix", "projects": "project"}
_MARKS: dict[Kind, str] = {"key": "=", "prefix": "^", "project": "@"}


@dataclass(frozen=True, slots=True)
class Purge:
    """Copies of the object with a key, of those whose keys begin with a prefix, or of a project's files, which is named
    by its normalised name. `mount` is the name of one, or EVERYTHING."""

    mount: str
    kind: Kind
    name: str

    def encode(self) -> str:
        return f"{self.mount}/{_MARKS[self.kind]}{self.name}"


def decode(text: str) -> Purge:
    """What was encoded. What is no purge, such as the mark for everything, means all of all mounts."""
    mount, _, rest = text.partition("/")
    for kind, mark in _MARKS.items():
        if rest.startswith(mark):
            return Purge(mount, kind, rest[1:])
    return Purge(EVERYTHING, "prefix", "")


def keys_of(purges: Sequence[Purge], projects_of: Callable[[str], Sequence[str]]) -> Keys:
    """Those of all that is dropped, which are looked for at once: there may be many. `projects_of` returns the projects
    that a key may stand for: by how it is spelled."""
    names = {kind: frozenset(what.name for what in purges if what.kind == kind) for kind in _MARKS}
    keys, prefixes, projects = names["key"], tuple(names["prefix"]), names["project"]
    if not prefixes and not projects:
        return Keys.of(*keys)

    def is_of_project(key: str) -> bool:
        spelled = canonicalize_name(key)  # a look that takes a microsecond, and `projects_of` some 60
        return any(name in spelled for name in projects) and not projects.isdisjoint(projects_of(key))

    return Keys(lambda key: key in keys or key.startswith(prefixes) or (bool(projects) and is_of_project(key)))


def projects_of_all(purges: Sequence[Purge], projects_of: Callable[[str], Sequence[str]]) -> Sequence[str]:
    """Those whose pages show what is dropped; empty if any may."""
    named = [what for what in purges if what.kind != "prefix"]
    each = [[what.name] if what.kind == "project" else projects_of(what.name) for what in named]
    return [*dict.fromkeys(chain(*each))] if all(each) and len(named) == len(purges) else []


def requested(query: str, content_type: str, body: bytes) -> Sequence[Purge]:
    """What the query and the body of a request ask for together: the body is a form, or JSON. Raises
    BadRequestError."""
    kind = content_type.partition(";")[0].strip().lower()
    found = [*_of_form(query)]
    if kind == "application/json" or body.lstrip().startswith(b"{"):  # curl calls all that it sends a form
        found += _of_json(body)
    elif body:
        found += _of_form(body.decode("utf-8", "surrogateescape"))
    mounts = [name for what, name in found if what == "mount"]
    names = [(what, name) for what, name in found if what != "mount"]
    if len(mounts) > 1 or not found or len(names) > _MOST:
        raise BadRequestError("a purge of nothing, of too much, or of several mounts", public=_HINT)
    mount = mounts[0] if mounts else EVERYTHING
    if not names:
        return [Purge(mount, "prefix", "")]
    return [*dict.fromkeys(_purge(mount, what, name) for what, name in names)]


def _purge(mount: str, what: str, name: str) -> Purge:
    project = what == "project"
    if what not in _MARKS or not _is_key(name) or (project and not PROJECT_NAME.fullmatch(name)):
        raise _bad("of something else, of nothing, of what is no project's name, or of a name that is too long")
    kind: Kind = what
    return Purge(mount, kind, canonicalize_name(name) if project else name)


def _is_key(name: str) -> bool:
    """Whether an object may be named so. JSON can have what UTF-8 has not."""
    try:
        return 0 < len(name.encode()) <= _MAX_NAME_BYTES
    except UnicodeEncodeError:
        return False


def _of_form(text: str) -> Iterator[tuple[str, str]]:
    try:
        yield from parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=_MOST + 1)
    except ValueError:
        raise _bad("no form") from None


def _of_json(body: bytes) -> Iterator[tuple[str, str]]:
    try:
        value: Any = json.loads(body, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise _bad("no JSON") from error
    if not isinstance(value, Mapping):
        raise _bad("no object")
    for field, names in value.items():
        if field == "mount" and isinstance(names, str):
            yield "mount", names
        elif field in _PLURALS and isinstance(names, list) and all(isinstance(name, str) for name in names):
            yield from ((_PLURALS[field], name) for name in names)
        else:
            raise _bad("an unknown field")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError for a field that is given twice: only the last would count."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a field is given twice")
    return found


def _bad(what: str) -> BadRequestError:
    """Without what was sent: the log has no queries."""
    return BadRequestError(f"a purge: {what}", public=_HINT)
