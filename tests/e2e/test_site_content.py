"""Sites with encodings, lifetimes and headers, as curl and Debian's Chromium get them."""

import asyncio
import gzip
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Browser, Response, expect

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.e2e.test_browser import CHROMIUM, browser
from tests.support import brotli

__all__ = ["browser"]  # the fixture
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
STYLE = "h1{color:rgb(1,2,3)}\n" * 200
HOME = """<!DOCTYPE html><title>site</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/assets/a.css">
<h1></h1><script src="/assets/a.js"></script><script>document.title = "inline"</script><a href="/second">second</a>"""
SCRIPTS = {
    "a.js": "document.querySelector('h1').textContent = 'Brotli';\n" * 50,
    "z.js": "document.querySelector('h1').textContent = 'zstd';\n" * 50,
}
TIMES = "performance.getEntriesByType('resource').map(one => [one.name.split('/').pop(), one.transferSize])"


@pytest.fixture
async def gateway(start_gateway: StartGateway, tmp_path: Path) -> Gateway:
    root = tmp_path / "www"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text(HOME)
    (root / "second").write_text(HOME.replace("a.js", "z.js"))
    (root / "assets" / "a.css").write_text(STYLE)
    for name, script in SCRIPTS.items():
        (root / "assets" / name).write_text(script)
    (root / "assets" / "a.js.br").write_bytes(brotli.stored(SCRIPTS["a.js"].encode()))
    (root / "assets" / "a.js.gz").write_bytes(gzip.compress(SCRIPTS["a.js"].encode()))
    (root / "assets" / "z.js.zst").write_bytes(zstd.compress(SCRIPTS["z.js"].encode()))
    headers = {"Content-Security-Policy": "default-src 'self'; img-src data:", "X-Content-Type-Options": "nosniff"}
    settings = {
        "storage.dir": str(root),
        "index.mode": "site",
        "site.precompressed": "br,zstd,gzip",
        "site.compress": "{}",
        "site.cache_control": json.dumps([{"path": "/assets/*", "value": "public, max-age=3600, immutable"}]),
        "site.headers": json.dumps([{"path": "/*", "headers": headers}]),
    }
    return await start_gateway(settings)


async def test_a_browser(browser: Browser, gateway: Gateway) -> None:
    """It reads every encoding, runs no script that the policy forbids, and keeps what it may keep."""
    page = await browser.new_page()
    encodings: dict[str, str | None] = {}

    def note(answer: Response) -> None:
        encodings[answer.url.rpartition("/")[2]] = answer.headers.get("content-encoding")

    page.on("response", note)
    await page.goto(f"{gateway.url}/")
    await expect(page.locator("h1")).to_have_text("Brotli")
    await expect(page.locator("h1")).to_have_css("color", "rgb(1, 2, 3)")
    assert await page.title() == "site"
    assert (encodings["a.js"], encodings["a.css"]) == ("br", "zstd")
    await page.goto(f"{gateway.url}/index.html")
    await expect(page.locator("h1")).to_have_text("Brotli")
    assert dict(await page.evaluate(TIMES)) == {"a.js": 0, "a.css": 0}  # not asked for again
    await page.set_content('<h1></h1><script src="/assets/z.js"></script>')
    await expect(page.locator("h1")).to_have_text("zstd")
    assert encodings["z.js"] == "zstd"


async def curl(cwd: Path, *arguments: str) -> str:
    run = asyncio.to_thread(subprocess.run, ["curl", "-sS", *arguments], cwd=cwd, capture_output=True, text=True)
    done = await run
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_curl(gateway: Gateway, tmp_path: Path) -> None:
    url, script = f"{gateway.url}/assets/a.js", SCRIPTS["a.js"]
    for accept in ("br", "zstd", "gzip", "br;q=0.1, gzip", "identity", "*"):
        for path, content in (("a.js", script), ("z.js", SCRIPTS["z.js"]), ("a.css", STYLE)):
            what = f"{gateway.url}/assets/{path}"
            assert await curl(tmp_path, "--compressed", "-H", f"Accept-Encoding: {accept}", what) == content
    seen = await curl(tmp_path, "--compressed", "-D", "-", "-o", "whole", url)
    assert "Content-Encoding: br\n" in seen
    assert "Content-Security-Policy: default-src 'self'; img-src data:\n" in seen
    # What has broken off is gone on with in the bytes that curl has written.
    (tmp_path / "part").write_text(script[:1000])
    await curl(tmp_path, "--compressed", "-C", "-", "-o", "part", url)
    assert (tmp_path / "part").read_text() == script
    etag = ["--compressed", "--etag-save", "etag", "--etag-compare", "etag", "-w", "%{http_code}", "-o", "kept", url]
    assert [await curl(tmp_path, *etag) for _ in range(2)] == ["200", "304"]
    assert (await curl(tmp_path, "-o", "raw", f"{url}.br"), (tmp_path / "raw").read_bytes()) == (
        "",
        brotli.stored(script.encode()),
    )
