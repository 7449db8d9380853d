"""Pages of the index as HTML (PEP 503, 629) and JSON (PEP 691, 700), with what PEP 708, 740 and 792 add. Pure.

https://packaging.python.org/en/latest/specifications/simple-repository-api/
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:  # nothing of it is imported where it is off
    from gateway.policy.verdict import Verdict

API_VERSION = "1.4"
# Before 1.1, files need no size: the version of pages with a file whose size is unknown.
_SIZELESS_API_VERSION = "1.0"
_MOST_TOLD = 100  # files of a page on which there is a verdict
_ENCODER = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class File:
    """One link of a project's page. `url` is relative to the page, or absolute, and encoded. `size` is in bytes,
    `modified` in seconds since the epoch; each is None if it is not known. `hashes` are in hex, by hashlib's names.
    `yanked` is the reason, which may be empty, or None; `provenance` is an absolute URL. People see `uploader`, who
    published the file; `publisher`, the job that did, as JSON; `is_ours`: it is in the storage; and `is_attested`: so
    is its provenance."""

    name: str
    url: str
    size: int | None = None
    modified: float | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    requires_python: str | None = None
    yanked: str | None = None
    has_metadata: bool = False
    metadata_sha256: str | None = None
    provenance: str | None = None
    uploader: str | None = None
    publisher: str | None = None
    is_ours: bool = False
    is_attested: bool = False


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Project:
    """A project's page: its normalised name, its versions in order, its files.

    `tracks` and `alternate_locations` are URLs (PEP 708); `status` is a marker of PEP 792, None for an active project.
    `verdicts` are those of the policy, by the names of files, on all that it does not simply allow; those that it
    withholds are not among `files`.
    """

    name: str
    versions: tuple[str, ...]
    files: tuple[File, ...]
    tracks: tuple[str, ...] = ()
    alternate_locations: tuple[str, ...] = ()
    status: str | None = None
    status_reason: str | None = None
    verdicts: "Mapping[str, Verdict]" = field(default_factory=lambda: MappingProxyType({}))

    @property
    def withheld(self) -> "dict[str, Verdict]":
        return {name: verdict for name, verdict in self.verdicts.items() if verdict.withholds}


def project_html(project: Project) -> bytes:
    lines = [f"    {file_link(file)}<br>" for file in project.files]
    if withheld := project.withheld:
        lines += ["    <p>The policy of this gateway withholds files:</p>"]
        lines += [f"    <p>{escape(f'{name} {verdict}')}</p>" for name, verdict in islice(withheld.items(), _MOST_TOLD)]
    meta = [("tracks", url) for url in project.tracks]
    meta += [("alternate-locations", url) for url in project.alternate_locations]
    if project.status is not None:
        meta.append(("project-status", project.status))
    if project.status_reason is not None:
        meta.append(("project-status-reason", project.status_reason))
    return _html(f"Links for {project.name}", lines, meta)


def project_json(project: Project) -> bytes:
    meta: dict[str, Any] = {"api-version": API_VERSION}
    if any(file.size is None for file in project.files):
        meta["api-version"] = _SIZELESS_API_VERSION
    if project.tracks:
        meta["tracks"] = project.tracks
    page: dict[str, Any] = {"meta": meta, "name": project.name, "versions": project.versions}
    if project.alternate_locations:
        page["alternate-locations"] = project.alternate_locations
    if project.status is not None:
        reason = {} if project.status_reason is None else {"reason": project.status_reason}
        page["project-status"] = {"status": project.status, **reason}
    if project.verdicts:  # a name that starts with an underscore is the server's own (PEP 691)
        told = islice(project.verdicts.items(), _MOST_TOLD)
        page["_policy"] = {name: {"verdict": verdict.action.value, "reason": verdict.reason} for name, verdict in told}
    return _with_array(_json({**page, "files": []}), (_json(_fields(file)) for file in project.files))


def root_html(projects: Iterable[str], prefix: str = "") -> bytes:
    """`prefix` leads from the page to the projects."""
    lines = [f"    {project_link(name, prefix)}<br>" for name in projects]
    return _html("Simple index", lines)


def root_json(projects: Iterable[str]) -> bytes:
    page = _json({"meta": {"api-version": API_VERSION}, "projects": []})
    return _with_array(page, (_json({"name": name}) for name in projects))


def file_link(file: File) -> str:
    """The HTML of a file's link."""
    return _link(file.url, file.name, _attributes(file), file.hashes)


def project_link(name: str, prefix: str = "") -> str:
    """The HTML of a project's link, by its normalised name. `prefix` leads from the page to the projects."""
    return _link(f"{prefix}{quote(name, safe='')}/", name)


def _with_array(page: bytes, elements: Iterable[bytes]) -> bytes:
    """The page, which ends with an empty array, with these elements in it. They are encoded one by one, because no
    other thread runs while the encoder does: large pages have many megabytes."""
    return b"".join((page.removesuffix(b"]}"), b", ".join(elements), b"]}"))


def _html(title: str, lines: list[str], meta: Iterable[tuple[str, str]] = ()) -> bytes:
    text = "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "  <head>",
            '    <meta charset="utf-8">',
            *(
                f'    <meta name="pypi:{name}" content="{escape(content)}">'
                for name, content in (("repository-version", API_VERSION), *meta)
            ),
            f"    <title>{escape(title)}</title>",
            "  </head>",
            "  <body>",
            f"    <h1>{escape(title)}</h1>",
            *lines,
            "  </body>",
            "</html>",
            "",
        ]
    )
    return text.encode()


def _link(url: str, text: str, attributes: str = "", hashes: Mapping[str, str] = MappingProxyType({})) -> str:
    """A link has room for one hash: SHA-256, which all installers know, or else any."""
    name = "sha256" if "sha256" in hashes else next(iter(hashes), None)
    fragment = f"#{name}={hashes[name]}" if name is not None else ""
    return f'<a href="{escape(url + fragment)}"{attributes}>{escape(text)}</a>'


def _attributes(file: File) -> str:
    found = {}
    if file.requires_python is not None:
        found["data-requires-python"] = file.requires_python
    if file.yanked is not None:
        found["data-yanked"] = file.yanked
    if file.has_metadata:
        # PEP 714: the old name too, for clients that know no other.
        value = f"sha256={file.metadata_sha256}" if file.metadata_sha256 else "true"
        found["data-core-metadata"] = found["data-dist-info-metadata"] = value
    if file.provenance is not None:
        found["data-provenance"] = file.provenance
    return "".join(f' {name}="{escape(value)}"' for name, value in found.items())


def _fields(file: File) -> dict[str, Any]:
    found: dict[str, Any] = {
        "filename": file.name,
        "url": file.url,
        "hashes": dict(file.hashes),
        "yanked": file.yanked if file.yanked else file.yanked is not None,
    }
    if file.size is not None:
        found["size"] = file.size
    if file.modified is not None:
        found["upload-time"] = datetime.fromtimestamp(file.modified, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if file.requires_python is not None:
        found["requires-python"] = file.requires_python
    if file.has_metadata:
        metadata = {"sha256": file.metadata_sha256} if file.metadata_sha256 else True
        found["core-metadata"] = found["dist-info-metadata"] = metadata
    if file.provenance is not None:
        found["provenance"] = file.provenance
    return found


def _json(page: dict[str, Any]) -> bytes:
    return _ENCODER.encode(page).encode()
