"""What lock files demand: requirements.txt, pylock.toml (PEP 751), uv.lock, poetry.lock. Pure.

https://pip.pypa.io/en/stable/reference/requirements-file-format/
https://packaging.python.org/en/latest/specifications/pylock-toml/
"""

import posixpath
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from gateway.index.simple.names import is_project_name, normalize

MOST_BYTES = 32 * 1024 * 1024
_COMMENT = re.compile(r"(^|\s)#.*$")
_OPTION = re.compile(r"\s--?[a-z][\w-]*([= ]\S+)?")


@dataclass(frozen=True, slots=True)
class Demand:
    """A release of a project; `files` are the names of those that may be installed, or empty if any may."""

    project: str
    versions: SpecifierSet
    files: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.project}{self.versions}"


def demands(name: str, content: bytes) -> list[Demand]:
    """Those of a file with this name. What does not come from an index is left out. Raises ValueError, which says what
    is wrong."""
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has over {MOST_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if not name.endswith((".toml", ".lock")):
        return [*_requirements(text)]
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"it is not TOML: {error}") from None
    packages = document.get("packages", document.get("package"))
    if not isinstance(packages, list) or not all(isinstance(one, dict) for one in packages):
        raise ValueError("it has no packages: is it a pylock.toml, a uv.lock or a poetry.lock?")
    return [found for one in packages if (found := _locked(one)) is not None]


def _requirements(text: str) -> Iterator[Demand]:
    joined = re.sub(r"\\\r?\n", " ", text)
    for number, line in enumerate(joined.splitlines(), 1):
        plain = _COMMENT.sub("", line).strip()
        if plain.startswith(("-r", "--requirement")) and not plain.startswith("--require-hashes"):
            raise ValueError(f"line {number} leads to another file, which has to be checked by itself: {plain[:100]}")
        if not plain or plain.startswith("-"):
            continue
        plain = _OPTION.sub("", f" {plain}").strip()
        try:
            found = Requirement(plain)
        except InvalidRequirement:
            raise ValueError(f"requirement {number}, {plain[:100]!r}, can't be understood") from None
        if found.url is None:
            yield Demand(normalize(found.name), found.specifier)


def _locked(package: Mapping[str, Any]) -> Demand | None:
    name, version = package.get("name"), package.get("version")
    if not isinstance(name, str) or not is_project_name(normalize(name)):
        raise ValueError("a package has no name that is one")
    source = package.get("source")
    local = source if isinstance(source, dict) else {}
    elsewhere = {"virtual", "editable", "directory", "git", "path", "url"}.intersection(local)
    if elsewhere or local.get("type") in ("git", "directory", "file", "url") or {"vcs", "directory"} & package.keys():
        return None
    if not isinstance(version, str):
        raise ValueError(f"the package {name[:100]!r} has no version")  # noqa: TRY004
    try:
        versions = SpecifierSet(f"=={version}")
    except InvalidSpecifier:
        raise ValueError(f"the package {name[:100]!r} has no version that is one") from None
    return Demand(normalize(name), versions, frozenset(_files(package)))


def _files(package: Mapping[str, Any]) -> Iterator[str]:
    lists = [package.get(name) or [] for name in ("wheels", "files")]
    for one in [package.get("sdist"), *(one for found in lists if isinstance(found, list) for one in found)]:
        told = [value for key in ("name", "file", "url", "path") if isinstance(value := _of(one, key), str)]
        if told:
            yield posixpath.basename(unquote(urlsplit(told[0]).path))


def _of(one: object, key: str) -> object:
    return one.get(key) if isinstance(one, dict) else None
