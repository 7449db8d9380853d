"""People log in with a real browser, Debian's Chromium: at the form, and at an issuer."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from tests.conftest import StartGateway
from tests.e2e.test_browser import CHROMIUM, CONTRAST, browser
from tests.support.bucket import Bucket
from tests.support.nightly import by_night
from tests.support.people_issuer import PeopleIssuer
from tests.support.wheels import wheel

__all__ = ["browser"]  # the fixture
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
KEY = "c" * 40


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    for name in ("arrow", "secret"):
        file, content = wheel(name, "1.0")
        (tmp_path / "packages" / name).mkdir(parents=True)
        (tmp_path / "packages" / name / file).write_bytes(content)
    return {
        "storage.dir": str(tmp_path / "packages"),
        "access.authenticators": "tests.support.people:People",
        "access.login": json.dumps({"cookie_keys": [KEY]}),
        "access.rules": "[{projects: secret, read: [group:data], only: true}]",
        "cache.memory_bytes": "8MB",
    }


@pytest.fixture
async def issuer() -> AsyncIterator[PeopleIssuer]:
    issuer = PeopleIssuer()
    await issuer.start()
    yield issuer
    await issuer.stop()


async def opened(browser: Browser, theme: str = "light") -> tuple[Page, list[str]]:
    """A page of a browser without cookies, and what it will complain about."""
    page = await (await browser.new_context(color_scheme="dark" if theme == "dark" else "light")).new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


async def log_in(page: Page, user: str, password: str) -> None:
    await page.get_by_label("User").fill(user)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()


async def test_at_the_form(browser: Browser, start_gateway: StartGateway, settings: dict[str, str]) -> None:
    gateway = await start_gateway(settings)
    page, complaints = await opened(browser)
    await page.goto(f"{gateway.url}/?q=arr")
    await log_in(page, "dave", "a-wrong-one")
    await expect(page.get_by_role("alert")).to_have_text("The user or the password is wrong.")
    await log_in(page, "dave", "pw-dave")
    await expect(page).to_have_url(f"{gateway.url}/?q=arr")
    await expect(page.locator(".projects a")).to_have_text(["arrow"])
    await page.goto(f"{gateway.url}/")
    await expect(page.locator(".projects a")).to_have_text(["arrow"])
    async with page.expect_download() as download:
        await page.goto(f"{gateway.url}/arrow/")
        await page.get_by_role("link", name="arrow-1.0-py3-none-any.whl").click()
    assert (await (await download.value).path()).read_bytes() == wheel("arrow", "1.0")[1]

    # Somebody else logs in with the same browser, and sees nothing that was cached for the first.
    await page.goto(f"{gateway.url}/secret/")
    await page.get_by_role("link", name="Log out").click()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading")).to_have_text("You are not logged in")
    await page.get_by_role("link", name="Log in").click()
    await log_in(page, "alice", "pw-alice")
    await expect(page.locator(".projects a")).to_have_text(["arrow", "secret"])
    await page.goto(f"{gateway.url}/secret/")
    await expect(page.get_by_role("heading", name="secret")).to_be_visible()
    assert [text for text in complaints if "status of 403" not in text] == []


async def test_a_search_after_the_session_has_ended_leads_to_the_form(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str]
) -> None:
    gateway = await start_gateway(settings)
    page, _ = await opened(browser)
    await page.goto(f"{gateway.url}/")
    await log_in(page, "dave", "pw-dave")
    await expect(page.locator(".projects a")).to_have_count(1)
    await page.context.clear_cookies()
    await page.get_by_role("searchbox").press_sequentially("ar")
    await expect(page.get_by_label("Password")).to_be_visible()
    await log_in(page, "dave", "pw-dave")
    await expect(page).to_have_url(f"{gateway.url}/?q=ar")


async def test_another_site_can_neither_frame_the_form_nor_send_it(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], issuer: PeopleIssuer
) -> None:
    """`localhost` is another site than 127.0.0.1."""
    gateway = await start_gateway(settings)
    login = f"{gateway.url}/-/login"
    evil = issuer.url.replace("127.0.0.1", "localhost")
    given = {"user": "dave", "password": "pw-dave", "form": "x" * 43}
    fields = "".join(f'<input name="{name}" value="{value}">' for name, value in given.items())
    form = f'<form method="post" action="{login}">{fields}<button>Go</button></form>'
    issuer.answers["/evil"] = lambda: web.Response(
        text=f'{form}<iframe src="{login}"></iframe>', content_type="text/html"
    )
    page, complaints = await opened(browser)
    await page.goto(login)  # so that the browser has the form's cookie
    await page.goto(f"{evil}/evil")
    await expect(page.locator("iframe")).to_be_visible()
    assert await page.frame_locator("iframe").get_by_label("Password").count() == 0
    await page.get_by_role("button", name="Go").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    assert "__Host-gateway" not in {cookie.get("name") for cookie in await page.context.cookies()}
    assert any("frame-ancestors" in text for text in complaints)


async def test_at_an_issuer(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], issuer: PeopleIssuer
) -> None:
    section = json.dumps({"cookie_keys": [KEY], "oidc": issuer.settings()})
    gateway = await start_gateway(settings | {"access.login": section})
    page, complaints = await opened(browser)
    await page.goto(f"{gateway.url}/secret/?x=1")
    await page.get_by_role("link", name="Continue").click()
    await expect(page).to_have_url(f"{gateway.url}/secret/?x=1")
    await expect(page.get_by_role("heading", name="secret")).to_be_visible()
    cookies = {cookie.get("name"): cookie for cookie in await page.context.cookies()}
    assert set(cookies) == {"__Host-gateway"}
    assert (cookies["__Host-gateway"].get("httpOnly"), cookies["__Host-gateway"].get("sameSite")) == (True, "Lax")
    await page.goto(f"{gateway.url}/-/logout")
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading")).to_have_text("You are not logged in")
    assert await page.context.cookies() == []
    assert complaints == []


@pytest.mark.parametrize("theme", ["dark", *by_night("light")])
async def test_the_form_is_readable(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], theme: str
) -> None:
    gateway = await start_gateway(settings)
    page, _ = await opened(browser, theme)
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(f"{gateway.url}/-/login")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    for selector in ("h1", "label", "input", "button"):
        assert await page.evaluate(CONTRAST, selector) >= 4.5, selector


async def test_whoever_wants_a_file_gets_it_after_the_login_also_from_the_storage(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], bucket: Bucket
) -> None:
    """Chromium holds each redirect after a form to the form's policy (CSP, form-action)."""
    file, content = wheel("arrow", "1.0")
    bucket.put(f"arrow/{file}", content)
    del settings["storage.dir"]
    gateway = await start_gateway(settings | bucket.settings(storage__redirect_urls="true"))
    page, complaints = await opened(browser)
    await page.goto(f"{gateway.url}/arrow/{file}")
    async with page.expect_download() as download:
        await log_in(page, "dave", "pw-dave")
    assert (await download.value).url.startswith(bucket.server.endpoint_url)
    assert (await (await download.value).path()).read_bytes() == content
    assert complaints == []


async def test_a_search_after_the_session_has_ended_leads_to_the_issuer(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], issuer: PeopleIssuer
) -> None:
    section = json.dumps({"cookie_keys": [KEY], "oidc": issuer.settings()})
    gateway = await start_gateway(settings | {"access.login": section})
    page, complaints = await opened(browser)
    await page.goto(f"{gateway.url}/")
    await page.get_by_role("link", name="Continue").click()
    await expect(page.locator(".projects a")).to_have_count(2)
    await page.context.clear_cookies()
    await page.get_by_role("searchbox").press_sequentially("ar")
    await page.get_by_role("link", name="Continue").click()
    await expect(page.locator(".projects a")).to_have_text(["arrow"])
    await page.context.clear_cookies()
    await page.get_by_role("searchbox").press("Enter")
    await page.get_by_role("link", name="Continue").click()
    await expect(page.locator(".projects a")).to_have_text(["arrow"])
    assert [text for text in complaints if "status of 401" not in text] == []
