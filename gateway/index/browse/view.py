"""What the pages for people show of a project. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from gateway.index.simple.names import parse
from gateway.index.simple.pages import File, Project

OTHER = "other files"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Release:
    """Files of one version; `yanked` is the reason if all of them are."""

    version: str
    date: str
    yanked: str | None
    files: list[dict[str, Any]]


def install_lines(base_url: str, name: str) -> list[tuple[str, str]]:
    """What to type. pip takes plain HTTP from this host only, unless it is told to."""
    index = f"{base_url or 'http://localhost:8080/'}simple/"
    parts = urlsplit(index)
    trusted = "" if parts.scheme == "https" or parts.hostname in _LOOPBACK else f" --trusted-host {parts.hostname}"
    return [
        ("pip", f"pip install --index-url {index}{trusted} {name}"),
        ("uv", f"uv pip install --default-index {index} {name}"),
    ]


def releases_of(project: Project) -> list[Release]:
    """By version, the newest first; files that are no releases come last."""
    by_version: defaultdict[Any, list[File]] = defaultdict(list)
    for file in project.files:
        release = parse(file.name)
        by_version[release.version if release is not None else None].append(file)
    versions = sorted((version for version in by_version if version is not None), reverse=True)
    ordered = [(str(version), by_version[version]) for version in versions]
    if None in by_version:
        ordered.append((OTHER, by_version[None]))
    return [_release(version, sorted(found, key=lambda file: file.name)) for version, found in ordered]


def _release(version: str, found: Sequence[File]) -> Release:
    yanked = [file.yanked for file in found]
    reasons = [reason for reason in yanked if reason is not None]
    return Release(
        version,
        _date(max((file.modified for file in found if file.modified is not None), default=None)),
        reasons[0] if len(reasons) == len(yanked) else None,
        [
            {
                "name": file.name,
                "url": file.url if "://" in file.url else f"../{file.url}",
                "size": _size(file.size),
                "date": _date(file.modified),
                "python": file.requires_python or "",
                "sha256": file.hashes.get("sha256", ""),
                "yanked": file.yanked,
            }
            for file in found
        ],
    )


def _date(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d") if seconds is not None else ""


def _size(size: int | None) -> str:
    if size is None:
        return ""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
