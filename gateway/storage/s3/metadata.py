"""Reads and writes the metadata in an object's headers that is not for clients. Names are in lower case."""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from gateway.storage.base import ObjectMetadata

_METADATA = "x-amz-meta-"
# The second and the third are pypicloud's; some tools that copy objects turn underscores into dashes.
_SHA256_NAMES = tuple(_METADATA + name for name in ("sha256", "hash-sha256", "hash_sha256"))
_HEX_SHA256 = re.compile("[0-9a-fA-F]{64}")
_BASE64_SHA256 = re.compile("[0-9a-zA-Z+/]{43}=")
_NO = frozenset({"false", "no", "0"})
_YES = frozenset({"", "true", "yes", "1"})
_MAX_YANK_CHARS = 1024
# Headers are US-ASCII, and there is room for 2 KB of all metadata.
_MAX_UPLOADER = 256
_PRINTABLE = re.compile(r"[ -~]{1,256}")
_PUBLISHER = re.compile(r"\{[ -~]{1,510}\}")
# The last second of year 9999: pages can't express a later one.
_MAX_SECONDS = 253402300799.0


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The uploader's x-amz-meta-* values, by name without that prefix and with dashes."""
    return {
        name.removeprefix(_METADATA).replace("_", "-"): value
        for name, value in headers.items()
        if name.startswith(_METADATA)
    }


def sha256_of(headers: Mapping[str, str]) -> str | None:
    """The object's SHA-256 in hex: the uploader's metadata (pypicloud sets it), or the checksum that S3 verified."""
    for name in _SHA256_NAMES:
        if (value := headers.get(name)) is not None and _HEX_SHA256.fullmatch(value):
            return value.lower()
    # The checksum of a multipart upload is a hash of hashes; a part count follows it.
    if _BASE64_SHA256.fullmatch(checksum := headers.get("x-amz-checksum-sha256", "")):
        return base64.b64decode(checksum).hex()
    return None


def metadata_of(headers: Mapping[str, str]) -> ObjectMetadata:
    """Reads the uploader's metadata (pypicloud sets it), and the checksum that S3 verified."""
    said = user_metadata(headers)
    yanked = said.get("yanked", "false")
    return ObjectMetadata(
        sha256=sha256_of(headers),
        requires_python=_printable(said.get("requires-python")),
        yanked=None if yanked.lower() in _NO else "" if yanked.lower() in _YES else yanked[:_MAX_YANK_CHARS],
        uploaded=seconds_of(said.get("upload-time")),
        uploader=_name(unquote(said.get("uploader", ""))),
        publisher=_publisher(said.get("publisher")),
    )


def headers_of(metadata: ObjectMetadata) -> dict[str, str]:
    """Returns the headers from which `metadata_of` reads this metadata."""
    uploaded = metadata.uploaded
    fields = {
        "sha256": metadata.sha256,
        "requires-python": _printable(metadata.requires_python),
        "yanked": None if metadata.yanked is None else _printable(metadata.yanked) or "true",
        "upload-time": None if uploaded is None else datetime.fromtimestamp(uploaded, UTC).isoformat(),
        "uploader": None if metadata.uploader is None else quote(metadata.uploader, safe="@")[:_MAX_UPLOADER],
        "publisher": _publisher(metadata.publisher),
    }
    return {_METADATA + name: value for name, value in fields.items() if value is not None}


def seconds_of(time: str | None) -> float | None:
    """Converts an ISO 8601 time, in UTC unless it has an offset, to seconds since the epoch; None if it is invalid."""
    try:
        parsed = datetime.fromisoformat(time or "")
        seconds = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds <= _MAX_SECONDS else None


def _publisher(value: str | None) -> str | None:
    return value if value is not None and _PUBLISHER.fullmatch(value) else None


def _name(value: str) -> str | None:
    """Names of people are in any script."""
    value = value.strip()
    return value if value.isprintable() and 0 < len(value) <= _MAX_UPLOADER else None


def _printable(value: str | None) -> str | None:
    value = value.strip() if value is not None else ""
    return value if _PRINTABLE.fullmatch(value) else None
