"""The links of a static page, read as installers read them. Pure."""

import re
from collections import defaultdict
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag

from gateway.index.names import normalize, parse
from gateway.index.pages import File, Project

_HASH = re.compile(r"(md5|sha1|sha224|sha256|sha384|sha512)=([0-9A-Fa-f]{32,128})(?:&.*)?")


def project_of(name: str, page: str) -> Project:
    """What a static page of project `name` says, so that it can be said in another form.

    `<base href>` is not followed: it would have clients sent elsewhere under our name.
    """
    parser = _read(page)
    files = tuple(parser.files)
    releases = {release.version for file in files if (release := parse(file.name)) is not None}
    versions = tuple(str(version) for version in sorted(releases))
    meta = parser.meta
    status, reason = (next(iter(meta[name]), None) for name in ("project-status", "project-status-reason"))
    return Project(name, versions, files, tuple(meta["tracks"]), tuple(meta["alternate-locations"]), status, reason)


def names_of(page: str) -> list[str]:
    """The projects that a static root page links, normalised, each once."""
    parser = _read(page)
    return sorted({normalize(name) for name in parser.folders})


def base_of(page: str) -> str:
    """What `<base href>` says, or nothing."""
    return _read(page).base


def _read(page: str) -> "_Anchors":
    parser = _Anchors()
    parser.feed(page)
    parser.close()
    return parser


class _Anchors(HTMLParser):
    """Collects files; the text of a link is the file's name only where its URL has none."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.files: list[File] = []
        self.folders: list[str] = []
        self.base = ""
        self.meta: defaultdict[str, list[str]] = defaultdict(list)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "meta" and (name := attributes.get("name") or "").startswith("pypi:"):
            self.meta[name.removeprefix("pypi:")].append(attributes.get("content") or "")
        if tag == "base":
            self.base = self.base or attributes.get("href") or ""
        if tag != "a":
            return
        try:
            url, fragment = urldefrag(attributes.get("href") or "")
        except ValueError:
            return
        path = unquote(url.partition("?")[0])
        name = path.rpartition("/")[2]
        if not name:
            if folder := path.rstrip("/").rpartition("/")[2].strip("."):
                self.folders.append(folder)
            return
        digest = _HASH.fullmatch(fragment)
        metadata = attributes.get("data-core-metadata", attributes.get("data-dist-info-metadata"))
        metadata_digest = _HASH.fullmatch(metadata or "")
        self.files.append(
            File(
                name=name,
                url=url,
                hashes={digest[1]: digest[2].lower()} if digest else {},
                requires_python=attributes.get("data-requires-python"),
                yanked=(attributes["data-yanked"] or "") if "data-yanked" in attributes else None,
                has_metadata=metadata is not None and metadata != "false",
                metadata_sha256=metadata_digest[2].lower()
                if metadata_digest and metadata_digest[1] == "sha256"
                else None,
                provenance=attributes.get("data-provenance"),
            )
        )
