"""Names of projects and of their release files. Pure.

https://packaging.python.org/en/latest/specifications/name-normalization/
https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention
https://packaging.python.org/en/latest/specifications/source-distribution-format/#source-distribution-file-name
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

_PROJECT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,126}[a-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LEGACY_SUFFIXES = (".tar.bz2", ".tar.xz", ".tar.Z", ".tgz", ".tbz", ".txz")
_EGG = re.compile(r"([^-]+)-([^-]+)(?:-py[0-9.]+(?:-.+)?)?\.egg")
# Matched without the suffix, so that no part of a name is tried twice.
_INSTALLER = re.compile(r"(.+?)-([0-9][^-]*?)(?:[.-](?:win|linux|macosx).*+)?")
_INSTALLER_SUFFIXES = (".exe", ".msi", ".rpm", ".dmg")
_BEGINNING = re.compile(r"(.+?)-[0-9]")
_STRICT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
# No file system has longer names.
_MAX_FILENAME = 255
_MAX_REMEMBERED = 255
SIMPLE = "simple"  # the path of the index, which no project is called
METADATA = ".metadata"
# The suffixes of files that lie beside a release file and describe it.
PROVENANCE = ".provenance"
COMPANIONS = (METADATA, PROVENANCE, ".sha256", ".yanked", ".asc", ".sig")


@dataclass(frozen=True, slots=True)
class Release:
    """What a file's name says: the normalised project, and the version as it is written."""

    project: str
    version: Version


def normalize(name: str) -> str:
    """`My.Project`, `my_project` and `my-project` all become `my-project`."""
    return _remembered(name) if len(name) <= _MAX_REMEMBERED else canonicalize_name(name)


@lru_cache(maxsize=4096)
def _remembered(name: str) -> str:
    return canonicalize_name(name)


def is_project_name(name: str) -> bool:
    """Whether a project may have this normalised name."""
    return _PROJECT_NAME.fullmatch(name) is not None


def parse(filename: str) -> Release | None:
    """The release that a file name names; None unless it is a wheel, sdist, egg or installer. Ignores wheel tags."""
    try:
        if len(filename) > _MAX_FILENAME:
            return None
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(_with_plain_tags(filename))
            return Release(name, version)
        if filename.endswith((".tar.gz", ".zip")):
            name, version = parse_sdist_filename(filename)
            return Release(name, version)
        for suffix in _LEGACY_SUFFIXES:
            if filename.endswith(suffix):
                name, version = parse_sdist_filename(filename.removesuffix(suffix) + ".tar.gz")
                return Release(name, version)
        if filename.endswith(_INSTALLER_SUFFIXES):
            match = _INSTALLER.fullmatch(filename[: -len(".exe")])
        else:
            match = _EGG.fullmatch(filename)
        return Release(normalize(match[1]), Version(match[2])) if match else None
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def beginning_project(filename: str) -> str | None:
    """The normalised project of a name that begins like a release's and is none, such as foo-1.0.whl.bak."""
    beginning = _BEGINNING.match(filename)
    return normalize(beginning[1]) if beginning is not None else None


def is_release_of(project: str, filename: str) -> bool:
    """Whether the file is a release of the project with this normalised name, by a strict reading of its own name:
    `parse` lets slashes and line breaks pass in the parts that are neither project nor version."""
    release = parse(filename) if _STRICT.fullmatch(filename) else None
    return release is not None and release.project == project


def _with_plain_tags(wheel: str) -> str:
    """Replaces the tags. Compressed tags stand for their product: 250 characters can mean many thousand unused tags."""
    front, *tags = wheel.removesuffix(".whl").rsplit("-", 3)
    return f"{front}-py3-none-any.whl" if len(tags) == 3 and all(tags) else ""


def is_hidden(filename: str) -> bool:
    """True also for a name with control characters, which no request can ask for."""
    return filename.startswith(".") or _CONTROL.search(filename) is not None


def is_companion(filename: str) -> bool:
    return filename.endswith(COMPANIONS)


def release_of(filename: str) -> Release | None:
    """As `parse`, for a name that may be a companion's, which names no release."""
    return None if is_companion(filename) else parse(filename)
