"""Turns a listing into a project's page. Pure."""

from dataclasses import replace
from urllib.parse import quote

from packaging.version import InvalidVersion, Version

from gateway.index.catalog.listing import Files
from gateway.index.simple.names import PROVENANCE, is_companion, is_hidden, parse
from gateway.index.simple.pages import File, Project
from gateway.index.wheels.known_metadata import KnownMetadata
from gateway.storage.base import StoredObject


def listed(
    name: str, listing: Files, metadata: KnownMetadata, *, index_document: str, up: str, base_url: str
) -> Project:
    """The project as a listing shows it, without files of other projects that lie in its folder.

    `up` is the relative path from the page to the root, `base_url` the root's URL for absolute links.
    """
    present = {item.key: item for item in listing.objects}
    files = []
    versions = set()
    for item in listing.objects:
        filename = item.key.rpartition("/")[2]
        if not filename or is_hidden(filename) or is_companion(filename) or filename == index_document:
            continue
        release = parse(filename)
        if release is not None and release.project != name:
            continue
        if release is not None:
            versions.add(release.version)
        known = metadata.of(item, present)
        path, attested = quote(item.key, safe="/"), item.key + PROVENANCE in present
        files.append(
            File(
                name=filename,
                url=up + path,
                size=item.size,
                modified=known.uploaded if known.uploaded is not None else item.modified,
                hashes={"sha256": known.sha256} if known.sha256 else {},
                requires_python=known.requires_python,
                yanked=known.yanked,
                # If it does not lie beside a wheel, it is read from the wheel. pip fails if it is announced but 404.
                has_metadata=f"{item.key}.metadata" in present
                or (filename.endswith(".whl") and release is not None and not known.unreadable),
                provenance=f"{base_url}{path}{PROVENANCE}" if base_url and attested else None,
                uploader=known.uploader,
                publisher=known.publisher,
                is_ours=True,
                is_attested=attested,
            )
        )
    return Project(name, tuple(str(version) for version in sorted(versions)), tuple(files))


def newest_wheel(name: str, listing: Files, metadata: KnownMetadata) -> StoredObject | None:
    """The newest wheel; pre-releases come last, and yanked wheels after them."""
    present = {item.key: item for item in listing.objects}
    found = [
        (metadata.of(item, present).yanked is None, not release.version.is_prerelease, release.version, item)
        for item in listing.objects
        if item.key.endswith(".whl")
        and (release := parse(item.key.rpartition("/")[2])) is not None
        and release.project == name
    ]
    return max(found, key=lambda wheel: wheel[:3])[3] if found else None


def merged(own: Project, other: Project) -> Project:
    """Our project with the files of both; of two files with the same name, ours, also if the policy withholds it."""
    names = {file.name for file in own.files} | own.withheld.keys()
    verdicts = {name: verdict for name, verdict in other.verdicts.items() if name not in names}
    return replace(
        own,
        versions=tuple(sorted({*own.versions, *other.versions}, key=_order)),
        files=own.files + tuple(file for file in other.files if file.name not in names),
        verdicts={**verdicts, **own.verdicts},
    )


def _order(version: str) -> tuple[bool, Version | str]:
    """A sort key. Text that is not a version comes first."""
    try:
        return True, Version(version)
    except InvalidVersion:
        return False, version
