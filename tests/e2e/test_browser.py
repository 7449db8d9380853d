"""The pages for people in a real browser: Debian's Chromium, headless, in both themes and at a phone's width."""

import io
import shutil
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support.nightly import by_night
from tests.support.wheels import wheel

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, PHONE = ViewportSize(width=1100, height=900), ViewportSize(width=390, height=844)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def gateway(start_gateway: StartGateway, tmp_path: Path) -> Gateway:
    for name in ("arrow", "bow", "quiver", "long-name-of-a-project-that-goes-on-and-on-and-on-for-ever"):
        folder = tmp_path / "packages" / name
        folder.mkdir(parents=True)
        for version in ("1.0", "1.1", "2.0", "2.1"):
            file, content = wheel(name.replace("-", "_"), version)
            (folder / file).write_bytes(content)
    (tmp_path / "packages/arrow/arrow-1.0-py3-none-any.whl.yanked").write_text("it misses")
    (tmp_path / "packages/quiver/quiver-3.0-py3-none-any.whl").write_bytes(with_images("quiver", "3.0"))
    return await start_gateway({"storage.dir": str(tmp_path / "packages")})


def with_images(name: str, version: str) -> bytes:
    """A wheel with a README that has images of other hosts, and one that is nowhere."""
    readme = "# Quiver\n\n[![Build](https://ci.example/b.svg)](https://ci.example/) ![Drawing](https://h.example/d.png)"
    readme += "\n\n![Logo](logo.png)\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        fields = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nDescription-Content-Type: text/markdown\n"
        archive.writestr(f"{name}-{version}.dist-info/METADATA", f"{fields}\n{readme}")
    return buffer.getvalue()


async def open_page(browser: Browser, gateway: Gateway, theme: str, size: ViewportSize, scripts: bool = True) -> Page:
    assert theme in ("light", "dark")
    context = await browser.new_context(
        color_scheme="dark" if theme == "dark" else "light",
        viewport=size,
        java_script_enabled=scripts,
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = await context.new_page()
    page.set_default_timeout(20_000)
    await page.goto(gateway.url + "/")
    return page


async def names(page: Page) -> list[str]:
    return await page.locator(".projects a").all_inner_texts()


async def test_search_as_you_type_and_install(browser: Browser, gateway: Gateway) -> None:
    page = await open_page(browser, gateway, "light", WIDE)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    assert len(await names(page)) == 4
    await page.get_by_role("searchbox").press_sequentially("Quiv")
    await expect(page.locator(".projects a")).to_have_count(1)
    await expect(page).to_have_url(f"{gateway.url}/?q=Quiv")
    await page.get_by_role("searchbox").fill("")
    await expect(page.locator(".projects a")).to_have_count(4)
    await page.get_by_role("link", name="arrow").click()
    await page.wait_for_url("**/arrow/")
    assert await page.title() == "arrow"
    await page.get_by_role("button", name="Copy the pip line").click()
    await page.get_by_text("Copied").wait_for()
    assert await page.evaluate("navigator.clipboard.readText()") == (
        f"pip install --index-url {gateway.url}/simple/ arrow"
    )
    await gateway.mount.metadata.settled()
    await page.reload()
    await expect(page.get_by_text("yanked: it misses")).to_have_count(1)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="arrow-2.1-py3-none-any.whl").click()
    content = (await (await download.value).path()).read_bytes()
    assert content == wheel("arrow", "2.1")[1]
    assert complaints == [], "neither the policy nor a script is in the way"


async def test_it_works_without_scripts(browser: Browser, gateway: Gateway) -> None:
    page = await open_page(browser, gateway, "light", PHONE, scripts=False)
    await page.get_by_role("searchbox").fill("bow")
    await page.get_by_role("button", name="Search").click()
    await page.wait_for_url("**/?q=bow")
    assert await names(page) == ["bow"]
    await page.get_by_role("link", name="bow").click()
    assert await page.get_by_role("button").count() == 0, "nothing that would not work is shown"


async def test_a_readme_fetches_nothing_from_other_hosts_and_shows_no_broken_image(
    browser: Browser, gateway: Gateway
) -> None:
    page = await open_page(browser, gateway, "light", WIDE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(gateway.url + "/quiver/")
    await expect(page.get_by_role("heading", name="Quiver", exact=True)).to_be_visible()
    await expect(page.get_by_role("link", name="Drawing")).to_have_attribute("href", "https://h.example/d.png")
    await expect(page.get_by_role("link", name="Build")).to_have_attribute("href", "https://ci.example/")
    await expect(page.locator(".readme img")).to_have_count(0)
    await expect(page.get_by_text("Logo")).to_be_visible()
    assert {url.startswith(gateway.url) for url in asked} == {True}


@pytest.mark.parametrize(
    ("theme", "size"), [("light", PHONE), ("dark", WIDE), *by_night(("light", WIDE), ("dark", PHONE))]
)
async def test_it_is_readable(browser: Browser, gateway: Gateway, theme: str, size: ViewportSize) -> None:
    page = await open_page(browser, gateway, theme, size)
    for path in ("/", "/arrow/", "/quiver/", "/long-name-of-a-project-that-goes-on-and-on-and-on-for-ever/", "/no/"):
        await page.goto(gateway.url + path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"], "nothing to scroll to"
        for selector in ("body", "a", "code", ".quiet", ".yanked", ".badge", ".image"):
            if await page.locator(selector).count():
                assert await page.evaluate(CONTRAST, selector) >= 4.5, (path, selector)


# WCAG 2.1, 1.4.3: text against the first background behind it.
CONTRAST = """selector => {
  const channels = text => text.match(/[0-9.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255).map(
    c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  ).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const element = document.querySelector(selector);
  let behind = element;
  while (behind && channels(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const back = behind ? getComputedStyle(behind).backgroundColor : getComputedStyle(document.body).backgroundColor;
  const [a, b] = [getComputedStyle(element).color, back].map(color => luminance(channels(color)));
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""
