"""Parses pages of other indexes, in which anything may be malformed. Pure.

https://packaging.python.org/en/latest/specifications/simple-repository-api/
"""

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from gateway.index.json_pieces import read_object
from gateway.index.simple import static_page, web_url
from gateway.index.simple.markup import count
from gateway.index.simple.names import is_release_of
from gateway.index.simple.pages import File, Project

T = TypeVar("T")

# Approximate memory of Python's objects: a page of `{},{},` takes 80 times its length, one of 20,000 files 36 MB.
_OBJECT_BYTES, _ITEM_BYTES = 232, 64
_MAX_JSON_BYTES = 64 * 1024 * 1024
_MAX_JSON_ESCAPES = 500_000
# Memory for the files of a page: a single character beyond ASCII makes each character of its text take four bytes.
# 20,000 files take some 20 MB.
_MAX_FILES_BYTES = 64 * 1024 * 1024
_FILE_BYTES = 168  # of one file, without its texts and hashes
# The largest projects of PyPI have some 20,000.
_MAX_FILES = 50_000
_MAX_TEXT = 8192
_MAX_VERSION = 128
_MAX_URLS = 32
_MAX_SIZE = 2**53
_MAX_SECONDS = 253_402_300_799  # the year 9999
_HEX = re.compile(r"[0-9A-Fa-f]{16,128}")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class UpstreamPage:
    """A project with those files of its page that can be shown; how many were left out, and why one of them was."""

    project: Project
    left_out: int
    reason: str


def parse_page(name: str, url: str, content_type: str, text: str) -> UpstreamPage:
    """The page of the project with this normalised name, which is at `url`; the URLs of its files are absolute.

    It has only releases of this very project, by the files' own names: any other file that the page lists would be
    shown, and kept, as this project's. Raises ValueError if `text` is not a page.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/vnd.pypi.simple.v1+json":
        return _read_json(name, url, text)
    if kind in ("text/html", "application/vnd.pypi.simple.v1+html"):
        return _read_html(name, url, text)
    raise ValueError(f"it is {kind or 'of no type'}, not JSON or HTML")


def file_weight(file: File) -> int:
    """Approximate bytes in memory of everything that the other index determines."""
    texts = (file.name, file.url, file.requires_python, file.yanked, file.metadata_sha256, file.provenance)
    # Not weight_of, which takes several times as long: pages have thousands of files.
    return _FILE_BYTES + sum(map(sys.getsizeof, (*texts, file.hashes, *file.hashes, *file.hashes.values())))


def _read_html(name: str, url: str, text: str) -> UpstreamPage:
    found = static_page.read(text)
    try:
        base = web_url.joined(url, found.base) if found.base else url
    except ValueError as error:
        raise ValueError(f"it has a <base> with {error}") from error
    fit = _Fit(name, base)
    found.files = fit.files(_bounded(found.files, "files"))
    return fit.page(found.project(name))


def _read_json(name: str, url: str, text: str) -> UpstreamPage:
    objects, items = count(text, "{"), count(text, "[") + count(text, ",")
    if objects * _OBJECT_BYTES + items * _ITEM_BYTES > _MAX_JSON_BYTES:
        raise ValueError("it has more fields than any page")
    if count(text, "\\") > _MAX_JSON_ESCAPES:
        raise ValueError("it has more escapes than any page")
    fit = _Fit(name, url)

    def files(found: Iterator[Any]) -> list[File]:
        return fit.files(_file(file) for file in _bounded(found, "files") if isinstance(file, dict))

    def versions(found: Iterator[Any]) -> list[str]:
        texts = _texts(_bounded(found, "versions"))
        return [version for version in texts if len(version) <= _MAX_VERSION]

    page = read_object(
        text,
        {
            "meta": _no_array,
            "files": files,
            "versions": versions,
            "alternate-locations": lambda found: list(islice(_texts(found), _MAX_URLS)),
            "project-status": _no_array,
        },
    )
    return fit.page(_project(name, page))


def _project(name: str, page: Mapping[str, Any]) -> Project:
    meta, files = page.get("meta"), page.get("files")
    if not isinstance(meta, dict) or not isinstance(files, list):
        raise ValueError("it has no meta or no files")  # noqa: TRY004  as all that is wrong with a page
    if not str(meta.get("api-version", "")).startswith("1."):
        raise ValueError("its API version is not 1")
    status = page.get("project-status")
    status = status if isinstance(status, dict) else {}
    return Project(
        name,
        tuple(_list(page.get("versions"))),
        tuple(files),
        tracks=tuple(_texts(_list(meta.get("tracks")))),
        alternate_locations=tuple(_list(page.get("alternate-locations"))),
        status=_text(status.get("status")),
        status_reason=_text(status.get("reason")),
    )


def _bounded(found: Iterable[T], what: str) -> Iterator[T]:
    for number, item in enumerate(found):
        if number == _MAX_FILES:
            raise ValueError(f"it lists over {_MAX_FILES} {what}")
        yield item


class _Fit:
    """Chooses the files of a page that can be shown."""

    def __init__(self, project: str, base: str) -> None:
        self._project = project
        self._base = base
        self._left_out = 0
        self._reason = ""

    def page(self, project: Project) -> UpstreamPage:
        project = replace(
            project,
            tracks=self._urls(project.tracks),
            alternate_locations=self._urls(project.alternate_locations),
        )
        return UpstreamPage(project, self._left_out, self._reason)

    def files(self, files: Iterable[File]) -> list[File]:
        """The files that are releases of the project and have a usable URL."""
        found, size = [], 0
        for file in files:
            try:
                if not is_release_of(self._project, file.name):
                    raise ValueError("a name that is no release of the project")
                fit = replace(file, url=web_url.joined(self._base, file.url), provenance=self._url(file.provenance))
            except ValueError as error:
                self._left_out += 1
                self._reason = self._reason or f"{file.name[:100]!r} has {error}"
                continue
            size += file_weight(fit)
            if size > _MAX_FILES_BYTES:
                raise ValueError("its files have more text than any page's")
            found.append(fit)
        return found

    def _urls(self, urls: Iterable[str]) -> tuple[str, ...]:
        return tuple(url for item in islice(urls, _MAX_URLS) if (url := self._url(item)) is not None)

    def _url(self, url: str | None) -> str | None:
        try:
            return web_url.joined(self._base, url) if url is not None else None
        except ValueError:
            return None


def _file(found: Mapping[str, Any]) -> File:
    yanked, size = found.get("yanked"), found.get("size")
    metadata = found.get("core-metadata", found.get("dist-info-metadata", False))
    return File(
        name=_text(found.get("filename")) or "",
        url=_text(found.get("url")) or "",
        size=size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < _MAX_SIZE else None,
        modified=_seconds(found.get("upload-time")),
        hashes=_hashes(found.get("hashes")),
        requires_python=_text(found.get("requires-python")),
        yanked=(_text(yanked) or "") if yanked else None,
        has_metadata=bool(metadata),
        metadata_sha256=_hashes(metadata).get("sha256"),
        provenance=_text(found.get("provenance")),
    )


def _hashes(value: Any) -> dict[str, str]:
    items = value.items() if isinstance(value, dict) else ()
    known = hashlib.algorithms_guaranteed
    return {
        name: hex_.lower() for name, hex_ in items if name in known and isinstance(hex_, str) and _HEX.fullmatch(hex_)
    }


def _no_array(_: Iterator[Any]) -> None:
    """Stands for a member that must be an object, not an array."""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(items: Iterable[Any]) -> Iterator[str]:
    return (text for item in items if (text := _text(item)) is not None)


def _text(value: Any) -> str | None:
    """None if the value is not text, can't be encoded as UTF-8, or is absurdly long."""
    fit = isinstance(value, str) and len(value) <= _MAX_TEXT and not _SURROGATE.search(value)
    return value if fit else None


def _seconds(value: Any) -> float | None:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() if time is not None else None
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and 0 <= seconds <= _MAX_SECONDS else None
