"""Every redirect is followed to a server that checks it: method, time, key, and every byte of the signature."""

import asyncio
import time
from urllib.parse import urlsplit

import aiohttp
import pytest
from yarl import URL

from gateway.cache.lru import MemoryLimit
from gateway.config.load import load
from gateway.messages import Caller, Credentials, ObjectRequest, Redirect
from gateway.storage.redirecting import RedirectingStorage
from gateway.storage.s3.signing.credentials import CredentialSource
from gateway.storage.s3.signing.sigv4 import presign
from gateway.storage.s3.storage import S3Storage
from tests.conftest import StartGateway
from tests.e2e.test_real_servers import KEYS_OF_SWIFT_ALONE, ODD_KEYS, port_of, targets
from tests.support.bucket import Bucket
from tests.support.http import fetch


async def follow(http: aiohttp.ClientSession, url: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.request(method, URL(url, encoded=True), headers=named) as answer:
        return answer.status, await answer.read()


async def location(start_gateway: StartGateway, settings: dict[str, str], target: str = "/k") -> str:
    gateway = await start_gateway(settings | {"storage.redirect_urls": "true"})
    answer = await fetch(port_of(gateway.url), target)
    assert answer.status == 302
    return answer.headers["location"]


async def round_trip(
    bucket: Bucket, start_gateway: StartGateway, http: aiohttp.ClientSession, keys: list[str], version: str
) -> None:
    settings = bucket.settings(storage__redirect_urls="true", storage__signature_version=version)
    gateway = await start_gateway(settings)
    for number, key in enumerate(keys):
        body = f"body {number} of {key}".encode()
        await asyncio.to_thread(bucket.put, key, body)
        answer = await fetch(port_of(gateway.url), targets(key)[0])
        assert (key, answer.status) == (key, 302)
        assert (key, await follow(http, answer.headers["location"])) == (key, (200, body))
        assert (key, await follow(http, answer.headers["location"], Range="bytes=0-3")) == (key, (206, body[:4]))


@pytest.mark.parametrize("version", ["s3v4", "s3"])
async def test_odd_keys_on_seaweedfs(
    bucket: Bucket, start_gateway: StartGateway, http: aiohttp.ClientSession, version: str
) -> None:
    await round_trip(bucket, start_gateway, http, ODD_KEYS, version)


async def test_odd_keys_on_swift(
    swift_bucket: Bucket, start_gateway: StartGateway, http: aiohttp.ClientSession
) -> None:
    await round_trip(swift_bucket, start_gateway, http, ODD_KEYS + KEYS_OF_SWIFT_ALONE, "s3v4")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
async def test_a_url_opens_just_what_it_says(
    bucket: Bucket, start_gateway: StartGateway, http: aiohttp.ClientSession, version: str
) -> None:
    bucket.put("k", b"content")
    bucket.put("other", b"secret")
    url = await location(start_gateway, bucket.settings(storage__signature_version=version))
    assert await follow(http, url) == (200, b"content")
    assert await follow(http, url, If_None_Match='"other"') == (200, b"content")
    refused = {
        "another key": url.replace("/k?", "/other?"),
        "another signature": url[:-4] + "0000",
        "a longer life": url.replace("X-Amz-Expires=86400", "X-Amz-Expires=86401"),
        "no signature": url.partition("?")[0],
    }
    if version == "s3":
        expires = url.partition("Expires=")[2].partition("&")[0]
        refused["a longer life"] = url.replace(f"Expires={expires}", f"Expires={int(expires) + 1}")
        # base64 ends in bits that don't count, so another signature is one that differs in the middle
        refused["another signature"] = url.replace("Signature=", "Signature=0")
    for what, changed in refused.items():
        assert changed != url
        assert (what, (await follow(http, changed))[0]) == (what, 403)
    for method in ("HEAD", "PUT", "DELETE"):
        assert (method, (await follow(http, url, method))[0]) == (method, 403)


async def test_an_expired_url_is_refused(
    bucket: Bucket, start_gateway: StartGateway, http: aiohttp.ClientSession
) -> None:
    bucket.put("k", b"content")
    server = urlsplit(bucket.server.endpoint_url)
    credentials = Credentials(bucket.server.access_key, bucket.server.secret_key)
    for age, status in [(0, 200), (3700, 403)]:
        query = presign(
            "GET",
            server.netloc,
            f"/{bucket.name}/k",
            credentials=credentials,
            region=bucket.server.region,
            now=time.time() - age,
            expires=3600,
        )
        url = f"{bucket.server.endpoint_url}/{bucket.name}/k?{query}"
        assert (age, (await follow(http, url))[0]) == (age, status)


async def test_a_url_for_head_opens_head(
    bucket: Bucket, start_gateway: StartGateway, http: aiohttp.ClientSession
) -> None:
    bucket.put("k", b"content")
    gateway = await start_gateway(bucket.settings())
    url = await gateway.storage.url("k", method="HEAD", lifetime=60)
    assert url is not None
    assert await follow(http, url, "HEAD") == (200, b"")
    assert (await follow(http, url))[0] == 403


async def test_no_url_outlives_the_credentials_that_signed_it(bucket: Bucket) -> None:
    bucket.put("k", b"content")
    settings = bucket.settings(storage__redirect_urls="true", storage__buffer_time="60")
    server = bucket.server
    expiring = Credentials(server.access_key, server.secret_key, provider="test", expires_at=time.time() + 1000)
    backend = S3Storage(
        load(settings, environ={}).storage,
        CredentialSource(lambda: expiring),
        MemoryLimit(10**6),
        index_document="index.html",
    )
    storage = RedirectingStorage(
        backend, auto=False, min_size=0, stream_user_agents=[], check=True, memory=MemoryLimit(10**6)
    )
    await storage.start()
    try:
        answer = await storage.fetch(ObjectRequest("GET", "k", redirect_for=Caller("127.0.0.1")))
    finally:
        await storage.close()
    assert isinstance(answer, Redirect)
    seconds = int(answer.location.partition("X-Amz-Expires=")[2].partition("&")[0])
    assert 900 < seconds <= 1000
    assert int(answer.headers["Cache-Control"].rpartition("=")[2]) <= seconds - 60


async def test_a_redirect_leads_to_the_same_bytes_as_streaming(
    bucket: Bucket, start_gateway: StartGateway, http: aiohttp.ClientSession
) -> None:
    import random

    content = random.Random(1).randbytes(3_000_000)
    bucket.put("large.whl", content)
    gateway = await start_gateway(bucket.settings(storage__redirect_urls="auto"))
    async with http.get(f"{gateway.url}/large.whl") as answer:
        assert (len(answer.history), await answer.read()) == (1, content)
    async with http.get(f"{gateway.url}/large.whl", headers={"Range": "bytes=-100"}) as answer:
        assert (answer.status, await answer.read()) == (206, content[-100:])
    async with http.head(f"{gateway.url}/large.whl", allow_redirects=True) as answer:
        assert (answer.status, answer.history, answer.headers["Content-Length"]) == (200, (), "3000000")
