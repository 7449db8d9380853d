"""What an upload says about its file, before the file comes. Pure.

https://docs.pypi.org/api/upload/
https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention
https://peps.python.org/pep-0625/
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from gateway.errors import BadRequestError
from gateway.index.simple.names import COMPANIONS, Release, is_project_name, is_release_of, normalize, parse
from gateway.publish.rules import Rule, Rules

_HEX = {"sha256": re.compile("[0-9a-fA-F]{64}"), "blake2_256": re.compile("[0-9a-fA-F]{64}")}
_HEX["md5"] = re.compile("[0-9a-fA-F]{32}")
# No file name has a longer one. `Version` raises another error for numbers of over 4,300 digits.
_MAX_VERSION = 255
# In a directory, a name has up to 255, and what lies beside a file has its name too.
_MAX_FILENAME = 255 - max(map(len, COMPANIONS))
_MAX_SHOWN = 100
_SUFFIXES = {"bdist_wheel": ".whl", "sdist": ".tar.gz"}
_SDIST_NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*-[^-]+\.tar\.gz")


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """A wheel or an sdist. `project` is normalised; `digests` are in hex, by the algorithm's name in the form.
    `requires_python` is None if the form does not speak of it."""

    project: str
    version: Version
    filename: str
    digests: Mapping[str, str]
    requires_python: str | None = None

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return self.filename.removesuffix(".whl").removesuffix(".tar.gz")


def release_file(fields: Mapping[str, Sequence[str]], filename: str, rules: Rules) -> ReleaseFile:
    """Reads the fields of an upload. Raises BadRequestError for what contradicts itself or a rule."""
    if _one(fields, ":action") not in ("", "file_upload"):
        raise _refused(":action", "the only :action is file_upload")
    if _one(fields, "protocol_version") not in ("", "1"):
        raise _refused("protocol_version", "the protocol_version is 1")
    release = _release(filename)
    if rules.hold(Rule.SDIST_NAME) and filename.endswith(".tar.gz") and not _SDIST_NAME.fullmatch(filename):
        raise _refused(
            filename, "an sdist is named name_of_project-version.tar.gz, in lower case (PEP 625)", Rule.SDIST_NAME
        )
    name, version, kind = (_one(fields, field) for field in ("name", "version", "filetype"))
    if name and normalize(name) != release.project:
        raise _refused(filename, f"the file is not one of {name[:_MAX_SHOWN]}, by its name")
    if version and (said := version_of(version)) is None:
        raise _refused(version, "the version is not one (PEP 440)")
    if version and said != release.version:
        raise _refused(filename, f"the file is not one of version {version[:_MAX_SHOWN]}, by its name")
    if kind and not filename.endswith(_SUFFIXES.get(kind, "/")):
        raise _refused(filename, f"the file is no {kind[:_MAX_SHOWN]}, by its name")
    digests = {algorithm: _one(fields, f"{algorithm}_digest").lower() for algorithm in _HEX}
    for algorithm, digest in digests.items():
        if digest and not _HEX[algorithm].fullmatch(digest):
            raise _refused(algorithm, f"{algorithm}_digest is not one, in hexadecimal digits")
    given = {algorithm: digest for algorithm, digest in digests.items() if digest}
    if rules.hold(Rule.DIGEST) and not given.keys() & {"sha256", "blake2_256"}:
        raise _refused(filename, "the form has neither sha256_digest nor blake2_256_digest", Rule.DIGEST)
    python = _one(fields, "requires_python").strip() if "requires_python" in fields else None
    return ReleaseFile(release.project, release.version, filename, given, python)


def _release(filename: str) -> Release:
    """Raises BadRequestError unless it is the strict name of a wheel or an sdist."""
    release = parse(filename)
    plain = release is not None and is_release_of(release.project, filename) and is_project_name(release.project)
    if release is None or not plain or not filename.endswith((".whl", ".tar.gz")):
        raise _refused(filename, "the file's name is not that of a wheel or an sdist (.tar.gz)")
    if len(filename) > _MAX_FILENAME:
        raise _refused(filename, f"the file's name has over {_MAX_FILENAME} characters")
    return release


def _one(fields: Mapping[str, Sequence[str]], name: str) -> str:
    values = fields.get(name, ())
    if len(set(values)) > 1:
        raise _refused(name, f"the form has several values of {name}")
    return values[0] if values else ""


def version_of(text: str) -> Version | None:
    """None if that is no version (PEP 440)."""
    try:
        return Version(text) if len(text) <= _MAX_VERSION else None
    except InvalidVersion:
        return None


def _refused(what: str, why: str, rule: Rule | None = None) -> BadRequestError:
    by = f" (rule {rule.value})" if rule is not None else ""
    return BadRequestError(f"{what[:200]!r}: {why}{by}", public=f"Invalid upload: {why}{by}")
