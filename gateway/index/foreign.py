"""Pages of other indexes, read with care: nothing in them is believed to be well-formed. Pure.

https://packaging.python.org/en/latest/specifications/simple-repository-api/
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from gateway.index.links import base_of, project_of
from gateway.index.names import is_release_of
from gateway.index.pages import File, Project

_HEX = re.compile(r"[0-9A-Fa-f]{16,128}")


def parse_page(name: str, url: str, content_type: str, text: str) -> Project:
    """The page of the project with this normalised name, which is at `url`; the URLs of its files are absolute.

    Only releases of this very project are in it, by the files' own names: whatever else the page lists would be shown,
    and kept, as what it claims to be. Raises ValueError for what is no page.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/vnd.pypi.simple.v1+json":
        project = _project(name, json.loads(text))
    elif kind in ("text/html", "application/vnd.pypi.simple.v1+html"):
        project = project_of(name, text)
        url = _joined(url, base_of(text)) or url
    else:
        raise ValueError(f"it is {kind or 'of no type'}, not JSON or HTML")
    files = (replace(file, url=_joined(url, file.url)) for file in project.files)
    return replace(project, files=tuple(file for file in files if file.url and is_release_of(name, file.name)))


def _joined(base: str, url: str) -> str:
    """Empty for what is no URL of HTTP."""
    try:
        joined = urljoin(base, url)
        return joined if urlsplit(joined).scheme in ("http", "https") else ""
    except ValueError:
        return ""


def _project(name: str, page: Any) -> Project:
    if not isinstance(page, dict):
        raise ValueError("it is no object")  # noqa: TRY004  as all that is wrong with a page
    meta, files = page.get("meta"), page.get("files")
    if not isinstance(meta, dict) or not isinstance(files, list):
        raise ValueError("it has no meta or no files")  # noqa: TRY004
    if not str(meta.get("api-version", "")).startswith("1."):
        raise ValueError(f"its API is version {meta.get('api-version')!r}")
    status = page.get("project-status")
    status = status if isinstance(status, dict) else {}
    return Project(
        name,
        tuple(_texts(page.get("versions"))),
        tuple(_file(file) for file in files if isinstance(file, dict)),
        tracks=tuple(_texts(meta.get("tracks"))),
        alternate_locations=tuple(_texts(page.get("alternate-locations"))),
        status=_text(status.get("status")),
        status_reason=_text(status.get("reason")),
    )


def _file(found: Mapping[str, Any]) -> File:
    yanked, size = found.get("yanked", False), found.get("size")
    metadata = found.get("core-metadata", found.get("dist-info-metadata", False))
    metadata_hashes = _hashes(metadata)
    return File(
        name=_text(found.get("filename")) or "",
        url=_text(found.get("url")) or "",
        size=size if isinstance(size, int) and size >= 0 else None,
        modified=_seconds(found.get("upload-time")),
        hashes=_hashes(found.get("hashes")),
        requires_python=_text(found.get("requires-python")),
        yanked=(yanked if isinstance(yanked, str) else "") if yanked is not False else None,
        has_metadata=bool(metadata),
        metadata_sha256=metadata_hashes.get("sha256"),
        provenance=_text(found.get("provenance")),
    )


def _hashes(value: Any) -> dict[str, str]:
    items = value.items() if isinstance(value, dict) else ()
    return {name: digest.lower() for name, digest in items if isinstance(digest, str) and _HEX.fullmatch(digest)}


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(value: Any) -> float | None:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() if time is not None else None
    except (ValueError, OverflowError):
        return None
