"""Remembers the licences of files, so that the metadata of each is read once. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from gateway.policy.facts import ReleaseFile, identity
from gateway.policy.metadata_licence import MAX_CHARACTERS
from gateway.storage.packed_json import packed, unpacked

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
MOST = 20_000
_MAX_TEXT_BYTES = 32 * 1024 * 1024
# Another one if the same metadata gives another licence.
_VERSION = 1


@dataclass(frozen=True, slots=True)
class KnownLicences:
    """The expressions, by what `key_of` returns."""

    found: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.found)

    def merged(self, other: "KnownLicences") -> "KnownLicences":
        """What both know; no more than is saved."""
        return KnownLicences(dict(islice({**self.found, **other.found, **self.found}.items(), MOST)))

    def to_bytes(self) -> bytes:
        return packed({"version": _VERSION, "licences": dict(self.found)})


def key_of(file: ReleaseFile, metadata_sha256: str | None) -> str:
    """The same for all files whose metadata is the same: most wheels of a version share it."""
    return metadata_sha256 or identity(file)


def from_bytes(document: bytes) -> KnownLicences | None:
    """None if it is none, or damaged: it is found out again then."""
    try:
        said = unpacked(document, _MAX_TEXT_BYTES)
        if said["version"] != _VERSION:
            return None
        return KnownLicences({str(key): _usable(value) for key, value in said["licences"].items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _usable(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_CHARACTERS or not value.isprintable():
        raise ValueError
    return value
