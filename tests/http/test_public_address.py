import pytest

from gateway.http.public_address import PublicAddress


@pytest.mark.parametrize(
    ("configured", "base_path", "scheme", "host", "expected"),
    [
        (None, "", "http", "gateway:8080", "http://gateway:8080/"),
        (None, "/pypi", "https", "[::1]:8080", "https://[::1]:8080/pypi/"),
        ("https://packages.example/pypi", "/pypi", "http", "evil", "https://packages.example/pypi/"),
        ("https://packages.example/", "", "http", "", "https://packages.example/"),
        (None, "", "http", "", ""),
        (None, "", "http", 'a"onload="x', ""),
        (None, "", "http", "user@host", ""),
        (None, "", "http", "host/path", ""),
        (None, "", "javascript", "host", ""),
    ],
)
def test_where_the_root_is(configured: str | None, base_path: str, scheme: str, host: str, expected: str) -> None:
    assert PublicAddress(configured, base_path).of(scheme, host) == expected


def test_its_path() -> None:
    for configured, base_path, path in [
        (None, "", "/"),
        (None, "/pypi", "/pypi/"),
        ("https://packages.example", "/pypi", "/"),
        ("https://packages.example/a/", "", "/a/"),
    ]:
        assert PublicAddress(configured, base_path).path == path
