"""What an object's headers tell that is not for clients. Names are in lower case."""

import base64
import re
from collections.abc import Mapping

_METADATA = "x-amz-meta-"
_HEX_SHA256 = re.compile("[0-9a-fA-F]{64}")
_BASE64_SHA256 = re.compile("[0-9a-zA-Z+/]{43}=")


def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The uploader's own words, by names with dashes."""
    return {
        name.removeprefix(_METADATA).replace("_", "-"): value
        for name, value in headers.items()
        if name.startswith(_METADATA)
    }


def sha256_of(headers: Mapping[str, str]) -> str | None:
    """The object's SHA-256 in hex, as the uploader has said (pypicloud does), or as S3 itself has checked it."""
    said = metadata_of(headers)
    for name in ("sha256", "hash-sha256"):
        if _HEX_SHA256.fullmatch(value := said.get(name, "")):
            return value.lower()
    # One of an upload in parts is a hash of hashes; it has a count after it.
    if _BASE64_SHA256.fullmatch(checksum := headers.get("x-amz-checksum-sha256", "")):
        return base64.b64decode(checksum).hex()
    return None
