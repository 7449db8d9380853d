"""Media types by name."""

import pytest

from gateway.index.sboms.media_types import media_type


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("auditwheel.cdx.json", "application/vnd.cyclonedx+json"),
        ("deep/AUDITWHEEL.CDX.XML", "application/vnd.cyclonedx+xml"),
        ("bom.json", "application/vnd.cyclonedx+json"),
        ("deep/bom.xml", "application/vnd.cyclonedx+xml"),
        ("rust.cyclonedx.json", "application/vnd.cyclonedx+json"),
        ("abom.json", "application/json"),
        ("maturin.spdx.json", "application/spdx+json"),
        ("maturin.spdx", "text/spdx"),
        ("maturin.spdx.rdf.xml", "application/rdf+xml"),
        ("maturin.spdx.yml", "application/spdx+yaml"),
        ("some.json", "application/json"),
        ("some.xml", "application/xml"),
        ("page.html", "application/octet-stream"),
        ("image.svg", "application/octet-stream"),
        ("page.xhtml", "application/octet-stream"),
        ("nothing", "application/octet-stream"),
    ],
)
def test_a_name(path: str, expected: str) -> None:
    assert media_type(path) == expected
