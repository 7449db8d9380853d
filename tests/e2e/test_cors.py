"""Scripts of pages of other origins fetch from the gateway in a real browser, Debian's Chromium."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.e2e.test_browser import CHROMIUM, browser
from tests.e2e.test_login import log_in, opened
from tests.publish.test_uploads import basic
from tests.support.faults import FaultyBucket
from tests.support.uploads import fields
from tests.support.wheels import wheel

__all__ = ["browser"]  # the fixture
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
FILE, CONTENT = wheel("arrow", "1.0")
NEW, NEW_CONTENT = wheel("acme_web", "1.0")
JSON = "application/vnd.pypi.simple.v1+json"
# The origins of pages on localhost, which for browsers is the site of http://localhost, and not that of 127.0.0.1.
PAGES = {"cors.origins": "http://localhost:*"}
# What a script learns of an answer; of one that it may not read, only that there was an error.
FETCH = """async ([url, options, form]) => {
  if (form) {
    options.body = new FormData();
    for (const [name, value] of Object.entries(form.fields)) options.body.append(name, value);
    const content = Uint8Array.from(atob(form.content), (char) => char.charCodeAt(0));
    options.body.append("content", new File([content], form.file));
  }
  try {
    const answer = await fetch(url, options);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    return {
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      text: Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""),
    };
  } catch (error) {
    return {status: 0, headers: {}, text: error.name};
  }
}"""
REFUSED = {"status": 0, "headers": {}, "text": "TypeError"}


@pytest.fixture
async def elsewhere() -> AsyncIterator[int]:
    """The port of a server whose pages are empty."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\nConnection: close\r\n\r\n"
        writer.write(head + b"<!doctype html>")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {f"arrow/{FILE}": CONTENT, "secret/secret-1.0.tar.gz": b"secret"}
    access = {
        "access.authenticators": "tests.support.people:People",
        "access.default_read": "everyone",
        "access.rules": "[{projects: secret, read: ['user:bob'], only: true}, {projects: acme-web, write: 'user:bob'}]",
        "access.login": json.dumps({"cookie_keys": ["c" * 40]}),
    }
    return faulty_settings | PAGES | access | {"publish.enabled": "true"}


async def fetched(page: Page, url: str, *, form: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = await page.evaluate(FETCH, [url, options, form])
    return found


async def page_of(browser: Browser, url: str) -> Page:
    page, _ = await opened(browser)
    await page.goto(url)
    return page


def preflights(gateway: Gateway) -> dict[int, int]:
    """How many have been answered, by status."""
    found = re.findall(r'route="preflight",status="(\d+)"} (\d+)', gateway.metrics.render().decode())
    return {int(status): int(count) for status, count in found}


async def test_an_index_is_read_and_a_wheel_installed_as_by_micropip(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], elsewhere: int
) -> None:
    gateway = await start_gateway(settings)
    await gateway.mount.metadata.settled()
    page = await page_of(browser, f"http://localhost:{elsewhere}/")
    index = await fetched(page, f"{gateway.url}/simple/arrow/", headers={"Accept": JSON})
    assert index["status"] == 200
    [file] = json.loads(index["text"])["files"]
    url = file["url"] if "://" in file["url"] else f"{gateway.url}/simple/arrow/{file['url']}"
    got = await fetched(page, url)
    assert (got["status"], sha256(got["text"].encode("latin-1")).digest()) == (200, sha256(CONTENT).digest())
    assert got["headers"]["etag"], "which browsers show only if it is exposed"
    assert got["headers"]["x-request-id"]
    assert "server" not in got["headers"], "which is not"
    missing = await fetched(page, f"{gateway.url}/arrow/nope-1.0.tar.gz")
    assert (missing["status"], missing["text"][:13]) == (404, "404 Not found")
    moved = await fetched(page, f"{gateway.url}/arrow", headers={"Accept": JSON})
    assert moved["status"] == 200, "by a redirect to the folder"
    assert preflights(gateway) == {}, "all of that is simple"


async def test_what_is_not_simple_is_asked_for_first_and_remembered(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], elsewhere: int
) -> None:
    gateway = await start_gateway(settings)
    page = await page_of(browser, f"http://localhost:{elsewhere}/")
    secret = f"{gateway.url}/secret/secret-1.0.tar.gz"
    assert (await fetched(page, secret))["status"] == 401
    assert (await fetched(page, secret, headers=basic("bob")))["text"] == "secret"
    assert (await fetched(page, secret, headers=basic("alice")))["status"] == 403
    assert preflights(gateway) == {204: 1}, "the browser remembers it"
    wheel_url = f"{gateway.url}/arrow/{FILE}"
    etag = (await fetched(page, wheel_url))["headers"]["etag"]
    headers = {"If-None-Match": etag, "Cache-Control": "no-cache"}
    assert (await fetched(page, wheel_url, headers=headers, cache="no-store"))["status"] == 304
    part = await fetched(page, wheel_url, headers={"Range": "bytes=1-3", "If-Range": etag})
    assert (part["status"], part["text"].encode("latin-1")) == (206, CONTENT[1:4])
    assert part["headers"]["content-range"] == f"bytes 1-3/{len(CONTENT)}"
    before = preflights(gateway)
    assert await fetched(page, wheel_url, headers={"X-Other": "1"}) == REFUSED, "it is not in cors.headers"
    assert await fetched(page, wheel_url, method="DELETE") == REFUSED
    assert preflights(gateway) == {204: before[204] + 1, 403: 1}


async def test_another_origin_reads_nothing(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], elsewhere: int
) -> None:
    gateway = await start_gateway(settings)
    page = await page_of(browser, f"http://127.0.0.1:{elsewhere}/")
    wheel_url = f"{gateway.url}/arrow/{FILE}"
    for options in ({}, {"headers": basic("bob")}, {"method": "HEAD"}, {"credentials": "include"}):
        assert await fetched(page, wheel_url, **options) == REFUSED
    assert preflights(gateway) == {403: 1}
    # Nor does a page without an origin, even if that which embeds it may.
    page = await page_of(browser, f"http://localhost:{elsewhere}/")
    assert (await fetched(page, wheel_url))["status"] == 200
    await page.set_content('<iframe sandbox="allow-scripts" srcdoc="<!doctype html>"></iframe>')
    frame = page.frames[-1]
    assert await frame.evaluate("origin") == "null"
    assert await frame.evaluate(FETCH, [wheel_url, {}, None]) == REFUSED


async def test_all_origins_read_what_is_for_everyone(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], elsewhere: int
) -> None:
    gateway = await start_gateway(settings | {"cors.origins": "*", "cors.headers": "*"})
    page = await page_of(browser, f"http://127.0.0.1:{elsewhere}/")
    wheel_url = f"{gateway.url}/arrow/{FILE}"
    assert (await fetched(page, wheel_url, headers={"X-Any": "1"} | basic("bob")))["status"] == 200
    assert await fetched(page, wheel_url, headers={"X-Requested-With": "gateway"}) == REFUSED
    assert await fetched(page, wheel_url, credentials="include") == REFUSED


@pytest.mark.parametrize("credentials", ["true", "false"])
async def test_a_session_is_used_only_if_the_gateway_says_so(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], elsewhere: int, credentials: str
) -> None:
    gateway = await start_gateway(settings | {"cors.credentials": credentials})
    home = gateway.url.replace("127.0.0.1", "localhost")  # the same site as the page: the cookie is for that alone
    page = await page_of(browser, f"{home}/-/login")
    await log_in(page, "bob", "pw-bob")
    await page.wait_for_url(f"{home}/")
    await page.goto(f"http://localhost:{elsewhere}/")
    secret = f"{home}/secret/secret-1.0.tar.gz"
    assert (await fetched(page, secret))["status"] == 401, "without being told to, a script sends no cookie"
    got = await fetched(page, secret, credentials="include")
    assert (got["status"], got["text"]) == ((200, "secret") if credentials == "true" else (0, "TypeError"))
    # The pages that are for the user are read by nobody else, and change nothing for others.
    manage = f"{home}/-/manage/acme-web/?action=yank&version=1.0"
    for body in (None, "action=yank"):
        method = "POST" if body else "GET"
        assert await fetched(page, manage, credentials="include", method=method, body=body) == REFUSED


@pytest.mark.parametrize(("methods", "status"), [("GET", 403), ("GET,POST", 200)])
async def test_a_page_publishes_if_it_may_post(
    browser: Browser,
    start_gateway: StartGateway,
    settings: dict[str, str],
    elsewhere: int,
    faulty: FaultyBucket,
    methods: str,
    status: int,
) -> None:
    gateway = await start_gateway(settings | {"cors.methods": methods})
    page = await page_of(browser, f"http://localhost:{elsewhere}/")
    form = {"fields": fields(NEW, NEW_CONTENT), "file": NEW, "content": base64.b64encode(NEW_CONTENT).decode()}
    simple = await fetched(page, f"{gateway.url}/legacy/", method="POST", form=form)
    assert simple["status"] == (403 if status == 403 else 401), "which the script can read"
    got = await fetched(page, f"{gateway.url}/legacy/", method="POST", form=form, headers=basic("bob"))
    assert got["status"] == (200 if status == 200 else 0), "the browser does not even send it, unless it may"
    assert (f"acme-web/{NEW}" in faulty.objects) is (status == 200)
    session = {"X-Requested-With": "gateway"}
    assert await fetched(page, f"{gateway.url}/legacy/", method="POST", form=form, headers=session) == REFUSED


@pytest.mark.parametrize("allowed", ["*", "page"])
async def test_a_redirect_leads_to_what_the_bucket_says_of_pages_without_an_origin(
    browser: Browser,
    start_gateway: StartGateway,
    settings: dict[str, str],
    elsewhere: int,
    faulty: FaultyBucket,
    allowed: str,
) -> None:
    gateway = await start_gateway(settings | {"storage.redirect_urls": "true"})
    origin = f"http://localhost:{elsewhere}"
    said = [("Access-Control-Allow-Origin", "*" if allowed == "*" else origin), ("Content-Type", "application/zip")]
    faulty.headers[f"arrow/{FILE}"] = said
    page = await page_of(browser, f"{origin}/")
    got = await fetched(page, f"{gateway.url}/arrow/{FILE}", headers=basic("bob"))
    [asked] = [request for request in faulty.requests if request.key.endswith(FILE) and "origin" in request.headers]
    assert (asked.method, asked.headers["origin"]) == ("GET", "null")
    assert "authorization" not in asked.headers
    assert got["status"] == (200 if allowed == "*" else 0)
