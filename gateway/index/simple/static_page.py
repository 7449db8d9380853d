"""The links of a static page, read as installers read them. Pure."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import unquote, urldefrag

from gateway.index.simple.markup import check_markup
from gateway.index.simple.names import normalize, parse
from gateway.index.simple.pages import File, Project
from gateway.index.simple.tags import start_tags

_HASH = re.compile(r"(md5|sha1|sha224|sha256|sha384|sha512)=([0-9A-Fa-f]{32,128})(?:&.*)?")
_TAGS = {
    "a": frozenset(
        {
            "href",
            "data-requires-python",
            "data-yanked",
            "data-core-metadata",
            "data-dist-info-metadata",
            "data-provenance",
        }
    ),
    "base": frozenset({"href"}),
    "meta": frozenset({"name", "content"}),
}


@dataclass(slots=True)
class StaticPage:
    """The links of a page: files, and the names of folders; the value of `<base href>`, or an empty text; and the
    values of `<meta name="pypi:…">` by the rest of their names."""

    files: list[File] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    base: str = ""
    meta: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def project(self, name: str) -> Project:
        """The page as that of the project with this normalised name."""
        releases = {release.version for file in self.files if (release := parse(file.name)) is not None}
        versions = tuple(str(version) for version in sorted(releases))
        meta = self.meta
        status, reason = (next(iter(meta[name]), None) for name in ("project-status", "project-status-reason"))
        tracks, locations = tuple(meta["tracks"]), tuple(meta["alternate-locations"])
        return Project(name, versions, tuple(self.files), tracks, locations, status, reason)


def read(page: str) -> StaticPage:
    """Reads a static page. Raises ValueError if it has more links than any page."""
    check_markup(page)
    links = StaticPage()
    for tag, attributes, _, _ in start_tags(page, _TAGS):
        href = attributes.get("href", "")
        if tag == "meta" and (name := attributes.get("name", "")).startswith("pypi:"):
            links.meta[name.removeprefix("pypi:")].append(attributes.get("content", ""))
        if tag == "base":
            links.base = links.base or href
        if tag == "a":
            _add(links, href, attributes)
    return links


def project_of(name: str, page: str) -> Project:
    """The content of a static page of project `name`, so that it can be rendered in another form.

    `<base href>` is ignored: it would send clients elsewhere under our name.
    """
    return read(page).project(name)


def names_of(page: str) -> list[str]:
    """The normalised names of the projects that a static root page links to, without duplicates."""
    return sorted({normalize(name) for name in read(page).folders})


def _add(links: StaticPage, href: str, attributes: dict[str, str]) -> None:
    try:
        url, fragment = urldefrag(href)
    except ValueError:
        return
    path = unquote(url.partition("?")[0])
    name = path.rpartition("/")[2]
    if not name:
        if folder := path.rstrip("/").rpartition("/")[2].strip("."):
            links.folders.append(folder)
        return
    digest = _HASH.fullmatch(fragment)
    metadata = attributes.get("data-core-metadata", attributes.get("data-dist-info-metadata"))
    metadata_digest = _HASH.fullmatch(metadata or "")
    links.files.append(
        File(
            name=name,
            url=url,
            hashes={digest[1]: digest[2].lower()} if digest else {},
            requires_python=attributes.get("data-requires-python"),
            yanked=attributes.get("data-yanked"),
            has_metadata=metadata is not None and metadata != "false",
            metadata_sha256=metadata_digest[2].lower() if metadata_digest and metadata_digest[1] == "sha256" else None,
            provenance=attributes.get("data-provenance"),
        )
    )
