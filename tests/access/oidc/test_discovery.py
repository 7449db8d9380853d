"""An issuer that lies, sends junk or is slow gives no keys, and leads the gateway nowhere."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from gateway.access.oidc import discovery
from gateway.access.oidc.discovery import Discovery, Metadata
from gateway.errors import GatewayError, UpstreamError, UpstreamTimeoutError
from tests.support.issuer import KEYS, METADATA, Issuer


@pytest.fixture
async def asking(issuer: Issuer) -> AsyncIterator[Discovery]:
    asking = Discovery.of(issuer.url)
    yield asking
    await asking.close()


async def test_the_keys_are_where_the_metadata_say(issuer: Issuer, asking: Discovery) -> None:
    assert json.loads(await asking.keys()) == {"keys": issuer.keys}
    assert issuer.asked == [METADATA, KEYS]


async def test_an_issuer_may_have_a_path_and_its_keys_a_query(issuer: Issuer) -> None:
    url = issuer.url + "/tenant/"
    issuer.says("/tenant" + METADATA, json.dumps({"issuer": url, "jwks_uri": f"{issuer.url}{KEYS}?p=a%2Fb"}))
    asking = Discovery.of(url)
    try:
        await asking.keys()
    finally:
        await asking.close()
    assert issuer.asked == ["/tenant" + METADATA, KEYS + "?p=a%2Fb"]


async def test_metadata_tell_what_a_login_needs(issuer: Issuer, asking: Discovery) -> None:
    assert await asking.metadata() == Metadata(issuer.url + KEYS)
    issuer.metadata |= {"authorization_endpoint": "https://login.example/", "token_endpoint": issuer.url + "/token"}
    issuer.metadata |= {"end_session_endpoint": None, "other": [1]}
    assert await asking.metadata() == Metadata(issuer.url + KEYS, "https://login.example/", issuer.url + "/token")


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"issuer": "{url}/"},
        {"issuer": ["{url}"]},
        {"jwks_uri": None},
        {"jwks_uri": ["{url}/keys"]},
        {"jwks_uri": ""},
        {"jwks_uri": "/keys"},
        {"jwks_uri": "//127.0.0.1/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "ftp://127.0.0.1/keys"},
        {"jwks_uri": "http://public.example/keys"},
        {"jwks_uri": "https://user:password@public.example/keys"},
        {"jwks_uri": "https://public.example/keys#x"},
        {"jwks_uri": "https://public.example/k\r\nHost: x"},
        {"jwks_uri": "https://public.example/é"},
        {"jwks_uri": "https://public.example:99999/"},
        {"jwks_uri": "https://public.example:0/"},
        {"jwks_uri": "https://[::1/"},
        {"jwks_uri": "https://" + "a" * 3000},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "http://public.example/token"},
    ],
)
async def test_metadata_that_lie_are_refused(issuer: Issuer, asking: Discovery, change: dict[str, Any]) -> None:
    issuer.metadata |= json.loads(json.dumps(change).replace("{url}", issuer.url))
    with pytest.raises(UpstreamError, match=r"metadata of .* can't be used"):
        await asking.keys()
    assert issuer.asked == [METADATA]


def test_https_leads_nowhere_without_it() -> None:
    fields = {"issuer": "https://issuer.example", "jwks_uri": "http://127.0.0.1/keys"}
    with pytest.raises(ValueError, match="from https to http"):
        discovery._metadata("https://issuer.example", fields)


@pytest.mark.parametrize("path", [METADATA, KEYS])
@pytest.mark.parametrize("status", [204, 301, 302, 307, 308, 401, 403, 404, 500, 503])
async def test_other_answers_give_no_keys(issuer: Issuer, asking: Discovery, path: str, status: int) -> None:
    issuer.says(path, status=status, Location=issuer.url + "/elsewhere")
    with pytest.raises(GatewayError, match=rf"{path} answers {status}"):
        await asking.keys()
    assert "/elsewhere" not in issuer.asked


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"issuer": 1, "issuer": 2}', b"\xff", b"[" * 60_000])
async def test_junk_is_no_metadata(issuer: Issuer, asking: Discovery, body: bytes) -> None:
    issuer.says(METADATA, body)
    with pytest.raises(UpstreamError, match="metadata of"):
        await asking.keys()


@pytest.mark.parametrize(("path", "limit"), [(METADATA, 64 * 1024), (KEYS, 256 * 1024)])
async def test_answers_are_bounded(issuer: Issuer, asking: Discovery, path: str, limit: int) -> None:
    document = issuer.metadata if path == METADATA else {"keys": issuer.keys}
    text = json.dumps(document)
    issuer.says(path, text + " " * (limit - len(text)))
    assert len(await asking.keys()) == (limit if path == KEYS else len(json.dumps({"keys": issuer.keys})))
    issuer.says(path, text + " " * (limit + 1 - len(text)))
    with pytest.raises(UpstreamError, match=f"over {limit} bytes"):
        await asking.keys()


async def test_what_is_too_large_is_not_read_to_its_end(issuer: Issuer, asking: Discovery) -> None:
    async def endless() -> AsyncIterator[bytes]:
        issuer.hold()
        yield b" " * (256 * 1024 + 1)
        await issuer.released()

    issuer.answers[KEYS] = lambda: web.Response(body=endless())
    with pytest.raises(UpstreamError, match="over 262144 bytes"):
        await asking.keys()


async def test_an_issuer_has_five_seconds(issuer: Issuer, asking: Discovery, monkeypatch: pytest.MonkeyPatch) -> None:
    assert discovery._DEADLINE_SECONDS == 5
    monkeypatch.setattr(discovery, "_DEADLINE_SECONDS", 0.2)
    issuer.hold()
    with pytest.raises(UpstreamTimeoutError, match=r"took over 0\.2 s"):
        await asking.keys()
    with pytest.raises(UpstreamTimeoutError, match=r"took over 0\.2 s"):
        await asking.metadata()


async def test_an_issuer_that_is_down_gives_no_keys(issuer: Issuer, asking: Discovery) -> None:
    await issuer.stop()
    with pytest.raises(UpstreamError, match="can't connect"):
        await asking.keys()


@pytest.mark.parametrize("by", ["127.0.0.1", "localhost", "[::1]", "127.0.0.2", "0.0.0.0"])
async def test_keys_are_not_had_from_an_internal_address(issuer: Issuer, asking: Discovery, by: str) -> None:
    other = Issuer()
    await other.start()
    issuer.metadata["jwks_uri"] = f"http://{by}:{other.port}/keys" if by != "0.0.0.0" else f"https://{by}:{other.port}/"
    try:
        with pytest.raises(UpstreamError, match="neither the issuer's host nor one of its allow_hosts"):
            await asking.keys()
        assert other.asked == []
    finally:
        await other.stop()


async def test_an_internal_address_may_be_allowed(issuer: Issuer) -> None:
    other = Issuer()
    await other.start()
    issuer.metadata["jwks_uri"] = other.url + KEYS
    asking = Discovery.of(issuer.url, [f"127.0.0.1:{other.port}"])
    try:
        assert json.loads(await asking.keys())["keys"]
    finally:
        await asking.close()
        await other.stop()
