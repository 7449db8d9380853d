"""Fetching an archive from a server, and what servers may answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.index.screening.advisories.shelf import SharedShelf
from gateway.index.screening.advisories.url_source import UrlSource
from gateway.storage.s3.clients import client_for
from gateway.upstream.address_policy import AddressPolicy
from tests.support.advisories import AdvisoryServer


@pytest.fixture
async def server() -> AsyncIterator[AdvisoryServer]:
    async with AdvisoryServer(b"x" * 3_000_000).running() as server:
        yield server


async def fetched(
    server: AdvisoryServer, tmp_path: Path, mark: str = "", most: int = 4_000_000
) -> tuple[int, str] | None:
    """The number of bytes, and the mark."""
    source = UrlSource(server.url, client_for(server.url, AddressPolicy(server.url, [])), 60.0, max_bytes=most)
    try:
        found = await source.fetch(mark, SharedShelf(tmp_path, "x"), 5.0)
    finally:
        assert source._client.stats()["connections_busy"] == 0
        await source.close()
    if found is None:
        return None
    with found.file as file:
        assert found.since == 5.0
        file.seek(0)
        return len(file.read()), found.mark


async def test_it_goes_to_a_file_without_a_name(server: AdvisoryServer, tmp_path: Path) -> None:
    assert await fetched(server, tmp_path) == (3_000_000, '"1"')
    assert [*tmp_path.iterdir()] == []


async def test_what_has_not_changed(server: AdvisoryServer, tmp_path: Path) -> None:
    assert await fetched(server, tmp_path, '"1"') is None
    assert await fetched(server, tmp_path, '"0"') == (3_000_000, '"1"')


async def test_too_many_bytes(server: AdvisoryServer, tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="it has over 2000000 bytes"):
        await fetched(server, tmp_path, most=2_000_000)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (404, {}, "answers 404"),
        (304, {}, "answers 304"),
        (500, {}, "answers 500"),
        (302, {}, "answers 302"),
        (302, {"Location": "/PyPI/all.zip"}, "redirects more than 5 times"),
        (302, {"Location": "ftp://example.org/"}, "neither http nor https"),
        (302, {"Location": "http://127.0.0.2:1/all.zip"}, "has no public address"),
        (200, {"Content-Encoding": "gzip"}, "another encoding"),
    ],
)
async def test_other_answers(
    server: AdvisoryServer, tmp_path: Path, status: int, headers: dict[str, str], reason: str
) -> None:
    server.status, server.headers = status, headers
    with pytest.raises(GatewayError, match=reason):
        await fetched(server, tmp_path)


async def test_a_redirect_is_followed(server: AdvisoryServer, tmp_path: Path) -> None:
    async with AdvisoryServer(b"abc").running() as other:
        server.status, server.headers = 302, {"Location": other.url}
        source = UrlSource(server.url, client_for(server.url, AddressPolicy(server.url, ["127.0.0.1"])), 60.0)
        found = await source.fetch("", SharedShelf(tmp_path, "x"), 5.0)
        await source.close()
        assert found is not None
        with found.file as file:
            file.seek(0)
            assert file.read() == b"abc"
