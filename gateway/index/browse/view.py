"""What the pages for people show of a project. Pure."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from packaging.version import Version

from gateway.index.simple.names import parse
from gateway.index.simple.pages import File, Project

OTHER = "other files"
_SHOWN_COMMIT = 12
# The suffixes of the release files that pip can install from.
_INSTALLABLE = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Release:
    """The files of one version; `yanked` is the reason if all of them are yanked. `installable`: pip may choose the
    version. `requires_python` is that of its files. `ours`: all are in the storage."""

    version: str
    date: str
    yanked: str | None
    files: list[dict[str, Any]]
    prerelease: bool = False
    installable: bool = False
    requires_python: str = ""
    ours: bool = False


def install_lines(base_url: str, name: str) -> list[tuple[str, str]]:
    """The commands that install, by tool. pip accepts plain HTTP only from its own host, or with --trusted-host."""
    index = f"{base_url or 'http://localhost:8080/'}simple/"
    parts = urlsplit(index)
    trusted = "" if parts.scheme == "https" or parts.hostname in _LOOPBACK else f" --trusted-host {parts.hostname}"
    return [
        ("pip", f"pip install --index-url {index}{trusted} {name}"),
        ("uv", f"uv pip install --default-index {index} {name}"),
    ]


def upload_lines(backend: str, *, by_folder: bool, has_prefix: bool) -> list[tuple[str, str]]:
    """The commands that fill an empty index, by the backend's name. Placeholders stand for the storage's address, which
    is not public."""
    target = "<prefix>/" * has_prefix + "<project>/" * by_folder
    if backend == "file":
        make = f"mkdir -p <directory>/{target} && " if target else ""
        return [("cp", f"{make}cp dist/* <directory>/{target}")]
    return [("aws", f"aws s3 cp dist/ s3://<bucket>/{target} --recursive")] if backend in ("s3", "cloudfront") else []


def releases_of(project: Project) -> list[Release]:
    """The releases, the newest version first; files that are not releases come last."""
    by_version: defaultdict[Version | None, list[File]] = defaultdict(list)
    for file in project.files:
        release = parse(file.name)
        by_version[release.version if release is not None else None].append(file)
    versions = sorted((version for version in by_version if version is not None), reverse=True)
    rest = [None] if None in by_version else []
    return [
        _release(version, sorted(by_version[version], key=lambda file: file.name)) for version in [*versions, *rest]
    ]


def headline(releases: Sequence[Release]) -> Release | None:
    """The release that pip installs if no version is asked for: the newest one that is not yanked; a pre-release only
    if there is nothing else."""
    found = [release for release in releases if release.installable]
    return next((release for release in found if not release.prerelease), next(iter(found), None))


def _release(version: Version | None, found: Sequence[File]) -> Release:
    yanked = [file.yanked for file in found]
    reasons = [reason for reason in yanked if reason is not None]
    offered = [file for file in found if file.yanked is None and file.name.endswith(_INSTALLABLE)]
    return Release(
        str(version) if version is not None else OTHER,
        _date(max((file.modified for file in found if file.modified is not None), default=None)),
        reasons[0] if len(reasons) == len(yanked) else None,
        [
            {
                "name": file.name,
                "url": file.url if "://" in file.url else f"../{file.url}",
                "size": _size(file.size),
                "date": _date(file.modified),
                "time": _time(file.modified),
                "uploader": file.uploader or "",
                "source": _source(file.publisher),
                "attested": file.is_attested,
                "ours": file.is_ours,
                "python": file.requires_python or "",
                "sha256": file.hashes.get("sha256", ""),
                "yanked": file.yanked,
            }
            for file in found
        ],
        prerelease=version is not None and version.is_prerelease,
        installable=version is not None and bool(offered),
        ours=version is not None and all(file.is_ours for file in found),
        requires_python=next((file.requires_python for file in offered if file.requires_python), ""),
    )


def _source(publisher: str | None) -> str:
    """Which job has published a file, as publish/trusted/sources.py has written it; empty if nobody knows."""
    try:
        said = json.loads(publisher or "")
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    fields = {name: value for name, value in said.items() if isinstance(value, str)}
    commit = f" at {fields['sha'][:_SHOWN_COMMIT]}" if "sha" in fields else ""
    more = [fields.get("workflow", ""), f"run {fields['run']}" if "run" in fields else ""]
    return ", ".join(filter(None, (fields.get("repository", "") + commit, *more)))


def _date(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d") if seconds is not None else ""


def _time(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if seconds is not None else ""


def _size(size: int | None) -> str:
    if size is None:
        return ""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
