"""The documents of PyPI's JSON API. Pure.

https://docs.pypi.org/api/json/
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from packaging.version import Version

from gateway.index.legacy.releases import ProjectReleases, yanked
from gateway.index.simple.names import normalize
from gateway.index.simple.pages import File

if TYPE_CHECKING:  # nothing of it is imported where it is off
    from gateway.policy.advisory import Advisory

CONTENT_TYPE = "application/json"
_SDIST = "sdist"
_TYPES = {
    ".whl": "bdist_wheel",
    ".egg": "bdist_egg",
    ".exe": "bdist_wininst",
    ".msi": "bdist_msi",
    ".rpm": "bdist_rpm",
    ".dmg": "bdist_dmg",
}
_EGG_PYTHON = re.compile(r"-py([0-9.]+)(?:-[^-]+)?\.egg")
_DATABASE = "https://osv.dev/vulnerability/"
# PyPI counts changes; nobody does here.
_SERIAL = 0


@dataclass(frozen=True, slots=True)
class Described:
    """One version of a project, by its normalised name. `info` is what its metadata says."""

    project: str
    version: Version
    files: Sequence[File]
    info: Mapping[str, Any]
    advisories: "Sequence[Advisory]"


def document(described: Described, releases: ProjectReleases | None, root: str) -> bytes:
    """All `releases` are listed in the document of a project; None in that of a version. `root` is the URL of the
    index, which may be relative, with a slash at its end. Files are encoded one by one, because no other thread runs
    while the encoder does: large projects have thousands."""
    urls = [_json(_file(file, root)) for file in described.files]
    listed: list[bytes] = []
    if releases is not None:
        for version, files in releases.files.items():
            these = urls if files is described.files else [_json(_file(file, root)) for file in files]
            listed.append(_json(str(version)) + b": " + _array(these))
    vulnerabilities = [_json(_vulnerability(one)) for one in described.advisories if one.affects(described.version)]
    members = {
        "info": _json(_info(described, root)),
        "last_serial": _json(_SERIAL),
        **({"releases": b"{" + b", ".join(listed) + b"}"} if releases is not None else {}),
        "urls": _array(urls),
        "vulnerabilities": _array(vulnerabilities),
    }
    return b"{" + b", ".join(_json(name) + b": " + value for name, value in members.items()) + b"}\n"


def _info(described: Described, root: str) -> dict[str, Any]:
    files, info = described.files, described.info
    page, reason = f"{root}{quote(described.project, safe='~')}/", yanked(files)
    told = next((file.requires_python for file in files if file.requires_python), None)
    return {
        **info,
        "name": info["name"] if normalize(info["name"] or "") == described.project else described.project,
        "version": str(described.version),
        "requires_python": told or info["requires_python"],
        "package_url": page,
        "project_url": page,
        "release_url": page,
        "yanked": reason is not None,
        "yanked_reason": reason or None,
    }


def _file(file: File, root: str) -> dict[str, Any]:
    times = {}
    if file.modified is not None:
        uploaded = datetime.fromtimestamp(file.modified, UTC)
        times["upload_time"] = uploaded.strftime("%Y-%m-%dT%H:%M:%S")
        times["upload_time_iso_8601"] = uploaded.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    metadata = {"sha256": file.metadata_sha256} if file.metadata_sha256 else True
    return {
        "filename": file.name,
        "url": file.url if "://" in file.url else root + file.url,
        "size": file.size,
        "digests": dict(file.hashes),
        "md5_digest": file.hashes.get("md5"),
        "packagetype": next((kind for suffix, kind in _TYPES.items() if file.name.endswith(suffix)), _SDIST),
        "python_version": _python_version(file.name),
        "requires_python": file.requires_python,
        **times,
        "yanked": file.yanked is not None,
        "yanked_reason": file.yanked or None,
        "core-metadata": metadata if file.has_metadata else False,
        "comment_text": "",
        "downloads": -1,
        "has_sig": False,
    }


def _python_version(name: str) -> str:
    if name.endswith(".whl"):
        return name.rsplit("-", 3)[1]
    if (egg := _EGG_PYTHON.search(name)) is not None:
        return egg[1]
    return "source" if not name.endswith(tuple(_TYPES)) else "any"


def _vulnerability(advisory: "Advisory") -> dict[str, Any]:
    return {
        "id": advisory.id,
        "aliases": [*advisory.aliases],
        "summary": advisory.summary or None,
        "details": advisory.summary,
        "fixed_in": [str(version) for version in sorted(advisory.fixed)],
        "link": _DATABASE + quote(advisory.id, safe=""),
        "source": "osv",
        "withdrawn": None,
    }


def _array(elements: Iterable[bytes]) -> bytes:
    return b"[" + b", ".join(elements) + b"]"


def _json(value: Any) -> bytes:
    """ASCII: what others have written may have characters that UTF-8 has not."""
    return json.dumps(value).encode()
