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

from gateway.index.simple.names import normalize

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
    if not isinstance(name, str):
        raise ValueError("a package has no name")  # noqa: TRY004  callers catch one type
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
    listed = [package.get("sdist"), *(package.get("wheels") or ()), *(package.get("files") or ())]
    for one in listed:
        if isinstance(one, dict):
            url = one.get("url") or one.get("path")
            found = one.get("name") or one.get("file") or (url and posixpath.basename(unquote(urlsplit(url).path)))
            if isinstance(found, str):
                yield found
