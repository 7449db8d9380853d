"""Sites in a real browser, Debian's Chromium: a small application that makes its pages itself, and listings."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.conftest import StartGateway
from tests.e2e.test_browser import CHROMIUM, CONTRAST, PHONE, WIDE, browser
from tests.support.nightly import by_night

__all__ = ["browser"]  # the fixture
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

HOME = """<!DOCTYPE html><title>app</title><h1></h1><a href="/users/a.smith">Smith</a>
<script src="/app.js"></script>"""
APP = """
const show = () => { document.querySelector("h1").textContent = location.pathname; };
document.querySelector("a").addEventListener("click", event => {
  event.preventDefault();
  history.pushState(null, "", event.target.href);
  show();
});
show();
window.statusOf = path => fetch(path).then(answer => answer.status);
"""
ODD = [
    "a b & c.txt",
    "<img src=x onerror=alert(1)>.txt",
    "100%.txt",
    "ключ.txt",
    "javascript:alert(1)",
    "q?x=y#z",
    "'\"`",
]


async def test_an_application(browser: Browser, start_gateway: StartGateway, tmp_path: Path) -> None:
    """A page that its user reloads is there, and what a script misses is an error to it."""
    root = tmp_path / "www"
    root.mkdir()
    (root / "index.html").write_text(HOME)
    (root / "app.js").write_text(APP)
    gateway = await start_gateway({"storage.dir": str(root), "index.mode": "site", "site.spa": "true"})
    page = await browser.new_page()
    await page.goto(f"{gateway.url}/")
    await page.get_by_text("Smith").click()
    await expect(page.locator("h1")).to_have_text("/users/a.smith")
    again = await page.reload()
    assert again is not None
    assert again.status == 200
    await expect(page.locator("h1")).to_have_text("/users/a.smith")
    assert await page.evaluate("statusOf('/api/users')") == 404
    assert await page.evaluate("statusOf('/missing.js')") == 404
    missing = await page.goto(f"{gateway.url}/missing.js")
    assert missing is not None
    assert missing.status == 404


@pytest.mark.parametrize(("theme", "size"), [("dark", PHONE), *by_night(("light", WIDE))])
async def test_a_listing(
    browser: Browser, start_gateway: StartGateway, tmp_path: Path, theme: str, size: object
) -> None:
    root = tmp_path / "www"
    (root / "docs" / "inner").mkdir(parents=True)
    for name in ODD:
        (root / "docs" / name).write_text(f"this is {name}")
    (root / "docs" / "inner" / "page.html").write_text('<link rel="icon" href="data:,"><h1>inner</h1>')
    gateway = await start_gateway({"storage.dir": str(root), "index.mode": "site", "site.listing": "true"})
    context = await browser.new_context(
        color_scheme="dark" if theme == "dark" else "light", viewport=PHONE if size is PHONE else WIDE
    )
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    await page.goto(f"{gateway.url}/docs")
    await expect(page.locator("h1")).to_have_text("Index of /docs/")
    names = await page.locator("td a").all_inner_texts()
    assert names == ["Parent directory", "inner/", *sorted(ODD)]
    for selector in ("body", "td a", "th", "td:nth-child(2)"):
        assert await page.evaluate(CONTRAST, selector) >= 4.5, selector
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in ODD:
        href = await page.get_by_role("link", name=name, exact=True).evaluate("link => link.href")
        answer = await context.request.get(href)
        assert (await answer.text()) == f"this is {name}"
    await page.get_by_text("inner/").click()
    await page.get_by_text("page.html").click()
    await expect(page.locator("h1")).to_have_text("inner")
    await page.goto(f"{gateway.url}/docs/inner/")
    await page.get_by_text("Parent directory").click()
    await expect(page.locator("h1")).to_have_text("Index of /docs/")
    assert complaints == []
