"""The media types of SBOMs, by the ends of their names. Pure.

https://cyclonedx.org/specification/overview/#recognized-file-patterns
https://spdx.github.io/spdx-spec/v2.3/conformance/#44-standard-data-format-requirements
"""

_CYCLONEDX, _SPDX = "application/vnd.cyclonedx", "application/spdx"
_UNKNOWN = "application/octet-stream"
# The first that fits. None of them is a type that browsers show as a page of ours.
_TYPES = {
    ".cdx.json": f"{_CYCLONEDX}+json",
    ".cdx.xml": f"{_CYCLONEDX}+xml",
    ".cyclonedx.json": f"{_CYCLONEDX}+json",
    ".cyclonedx.xml": f"{_CYCLONEDX}+xml",
    "/bom.json": f"{_CYCLONEDX}+json",
    "/bom.xml": f"{_CYCLONEDX}+xml",
    ".spdx.json": f"{_SPDX}+json",
    ".spdx3.json": f"{_SPDX}+json",
    ".spdx.xml": f"{_SPDX}+xml",
    ".spdx.yaml": f"{_SPDX}+yaml",
    ".spdx.yml": f"{_SPDX}+yaml",
    ".spdx.rdf": "application/rdf+xml",
    ".spdx.rdf.xml": "application/rdf+xml",
    ".spdx": "text/spdx",
    ".swidtag": "application/swid+xml",
    ".json": "application/json",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".txt": "text/plain",
}


def media_type(path: str) -> str:
    """Without parameters."""
    name = f"/{path}".lower()
    return next((kind for end, kind in _TYPES.items() if name.endswith(end)), _UNKNOWN)
