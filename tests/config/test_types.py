from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.config import types
from gateway.config.load import load
from gateway.config.settings import SECTIONS
from gateway.config.types import SIZE, Size, size_text


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("MountPrefix", "a/b/", "/a/b"),
        ("KeyPrefix", "/a/b", "a/b/"),
        ("Seconds", "1.5", 1.5),
        ("Networks", "10.0.0.0/8, ::1", [ip_network("10.0.0.0/8"), ip_network("::1")]),
        ("Distribution", "d1.cloudfront.net/", "https://d1.cloudfront.net"),
        ("Distribution", "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("Proxies", "http://p:1", {"http": "http://p:1", "https": "http://p:1"}),
        ("Proxies", "https=http://p:1", {"https": "http://p:1"}),
        ("Proxies", {"http": "http://p:1"}, {"http": "http://p:1"}),
        ("Proxies", "{}", {}),
        ("Options", "{a: 1, b: [x]}", {"a": 1, "b": ["x"]}),
        ("Options", {"a": None}, {"a": None}),
        ("SourceRange", "true", True),
        ("SourceRange", False, False),
        ("SourceRange", "192.0.2.0/24", IPv4Network("192.0.2.0/24")),
        ("ClientCertificate", "/dev/null", [Path("/dev/null")]),
        ("ClientCertificate", "/dev/null,/dev/zero", [Path("/dev/null"), Path("/dev/zero")]),
        ("Words", "a, b,,c", ["a", "b", "c"]),
        ("Words", ["a b"], ["a b"]),
        ("Hosts", "files.corp, 10.0.0.7:8081,[::1]:80", ["files.corp", "10.0.0.7:8081", "[::1]:80"]),
    ],
)
def test_values_as_they_are_meant(kind: str, given: Any, value: Any) -> None:
    assert TypeAdapter(getattr(types, kind)).validate_python(given) == value


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("Seconds", "0"),
        ("NonNegativeSeconds", "-1"),
        ("NonNegativeSeconds", "inf"),
        ("Networks", "10"),
        ("IndexDocument", ".."),
        ("Backend", "s4"),
        ("Bucket", "a/b"),
        ("EndpointUrl", "host:9000"),
        ("Hosts", "https://files.corp"),
        ("Hosts", "files.corp/path"),
        ("Hosts", "user@files.corp"),
        ("Hosts", "files.corp:99999"),
        ("Hosts", ["files .corp"]),
        ("Hosts", ["::1"]),
        ("Hosts", [""]),
        ("Distribution", "user@host"),
        ("Distribution", "d1.cloudfront.net/path"),
        ("Distribution", ""),
        ("Proxies", "p:1"),
        ("Options", "a"),
        ("Options", "{"),
        ("Options", "{2026-99-99: 1}"),
        ("Options", {1: "a"}),
        ("Proxies", {"socks5": "http://p:1"}),
        ("SourceRange", "::/0"),
        ("SourceRange", "somewhere"),
        ("ClientCertificate", "/does/not/exist"),
        ("ClientCertificate", "/dev/null,/dev/null,/dev/null"),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, given: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(getattr(types, kind)).validate_python(given)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (65536, 65536),
        ("65536", 65536),
        ("64MB", 64_000_000),
        ("10GB", 10_000_000_000),
        ("512KiB", 524_288),
        ("1.5GiB", 1_610_612_736),
        ("32 mib", 33_554_432),
        ("7B", 7),
        ("1TiB", 1024**4),
        ("0", 0),
    ],
)
def test_sizes_have_units(given: object, size: int) -> None:
    assert TypeAdapter(Size).validate_python(given) == size
    assert TypeAdapter(Size).validate_python(size_text(size)) == size


@pytest.mark.parametrize("given", ["64M", "MB", "", "1.5B", "-1MB", "1e6", "64 MB ×", "٣MB", True, 1.5, [1]])
def test_what_is_no_size_is_refused_with_the_forms(given: object) -> None:
    with pytest.raises(ValidationError, match="must be a size like 64MB, 10GB or 512KiB, or a number of bytes"):
        TypeAdapter(Size).validate_python(given)


@pytest.mark.parametrize(
    ("size", "text"), [(33_554_432, "32MiB"), (8190, "8190"), (64_000_000, "64MB"), (4 * 1024**3, "4GiB"), (0, "0")]
)
def test_a_size_is_shown_in_the_unit_in_which_it_is_exact(size: int, text: str) -> None:
    assert size_text(size) == text


def test_every_setting_in_bytes_is_a_size() -> None:
    fields = {
        f"{section}.{name}": field for section, model in SECTIONS.items() for name, field in model.model_fields.items()
    }
    sizes = {name for name, field in fields.items() if SIZE in field.metadata}
    assert sizes == {name for name in fields if name.endswith("_bytes")} | {"storage.redirect_min_size"}
    assert load({"cache.memory_bytes": "64MB"}, environ={}, cwd=Path("/")).cache.memory_bytes == 64_000_000
