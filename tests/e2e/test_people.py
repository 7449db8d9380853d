"""People publish, yank and delete with a real browser, Debian's Chromium."""

import base64
import json

import pytest
from playwright.async_api import Browser, FilePayload, expect

from tests.conftest import StartGateway
from tests.e2e.test_browser import CHROMIUM, CONTRAST, browser
from tests.e2e.test_login import log_in, opened
from tests.support.bucket import Bucket
from tests.support.nightly import by_night
from tests.support.wheels import sdist, wheel

__all__ = ["browser"]  # the fixture
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

# Puts files, given in base64, where somebody would drop them.
DROP = """(files) => {
  const carried = new DataTransfer();
  for (const [name, content] of files)
    carried.items.add(new File([Uint8Array.from(atob(content), (char) => char.charCodeAt(0))], name));
  for (const kind of ["dragover", "drop"])
    document.querySelector(".upload").dispatchEvent(
      new DragEvent(kind, {dataTransfer: carried, bubbles: true, cancelable: true}));
}"""


@pytest.fixture
def settings(bucket: Bucket) -> dict[str, str]:
    file, content = wheel("arrow", "1.0")
    bucket.put(f"arrow/{file}", content)
    return bucket.settings() | {
        "publish.enabled": "true",
        "access.authenticators": "tests.support.people:People",
        "access.login": json.dumps({"cookie_keys": ["c" * 40]}),
        "access.rules": '[{projects: ["arrow", "bow"], write: [group:data], delete: [user:bob]}]',
        "cache.memory_bytes": "8MB",
    }


def payload(name: str, content: bytes) -> FilePayload:
    return FilePayload(name=name, mimeType="application/octet-stream", buffer=content)


def content_of(bucket: Bucket, key: str) -> bytes | None:
    """None if there is no such object."""
    client = bucket.server.client()
    try:
        content: bytes = client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    except client.exceptions.NoSuchKey:
        return None
    return content


async def test_publish_yank_and_delete(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], bucket: Bucket
) -> None:
    gateway = await start_gateway(settings)
    page, complaints = await opened(browser)
    await page.goto(f"{gateway.url}/")
    await log_in(page, "bob", "pw-bob")

    # At the list of all projects, files of a new one are dropped. A README may have fields like those of our own pages.
    files = [sdist("bow", "1.0"), wheel("bow", "1.0", readme='<input type="search">')]
    await page.evaluate(DROP, [(name, base64.b64encode(content).decode()) for name, content in files])
    await expect(page.locator(".uploads .published")).to_have_count(2)
    names = await page.locator(".uploads li").all_inner_texts()
    assert [name.partition(":")[0] for name in names] == ["bow-1.0-py3-none-any.whl", "bow-1.0.tar.gz"]
    await page.get_by_role("link", name="Look at the page").first.click()
    await expect(page.locator("h1")).to_contain_text("bow 1.0")
    await expect(page.locator("td[data-label=Uploaded]").first).to_contain_text("by bob")
    await expect(page.locator(".readme input[type=search]")).to_have_count(1)
    assert content_of(bucket, "bow/bow-1.0.tar.gz") == files[0][1]

    # Other bytes of a name that is there, and a file of a project that bob may not write.
    other = wheel("bow", "1.0", summary="another")
    await page.locator("input[type=file]").set_input_files([payload(*other), payload(*wheel("secret", "1.0"))])
    await expect(page.locator(".uploads .failed")).to_have_count(2)
    await expect(page.locator(".uploads .failed").first).to_contain_text("File already exists")

    # One file is yanked, and the other release is deleted.
    await page.locator("tr", has_text="bow-1.0.tar.gz").get_by_role("link", name="Yank").click()
    await page.get_by_label("Why?").fill("it breaks <everything>")
    await page.get_by_role("button", name="Yank").click()
    await expect(page.locator("h1")).to_have_text("bow-1.0.tar.gz is yanked")
    await page.get_by_role("link", name="bow", exact=True).click()
    await expect(page.locator("tr", has_text="bow-1.0.tar.gz")).to_contain_text("yanked: it breaks <everything>")
    await page.goto(f"{gateway.url}/arrow/")
    await page.locator(".changes").get_by_role("link", name="Delete").click()
    assert content_of(bucket, "arrow/arrow-1.0-py3-none-any.whl") == wheel("arrow", "1.0")[1]
    await page.get_by_role("button", name="Delete").click()
    await expect(page.locator("h1")).to_have_text("arrow 1.0 is deleted")
    assert content_of(bucket, "arrow/arrow-1.0-py3-none-any.whl") is None

    # Who may only write is offered no more than that, and who may only read, nothing.
    await page.goto(f"{gateway.url}/-/logout")
    await page.get_by_role("button", name="Log out").click()
    for user, links in (("alice", ["Yank"]), ("dave", [])):
        page, _ = await opened(browser)
        await page.goto(f"{gateway.url}/bow/")
        await log_in(page, user, f"pw-{user}")
        await expect(page.locator("h1")).to_contain_text("bow 1.0")
        assert await page.locator(".changes").first.locator("a").all_inner_texts() == links if links else True
        assert await page.locator(".upload").count() == len(links)
        assert await page.locator(".change").count() == 3 * len(links)
    assert [text for text in complaints if "409" not in text and "403" not in text] == []


@pytest.mark.parametrize("theme", ["light", *by_night("dark")])
async def test_the_texts_can_be_read(
    browser: Browser, start_gateway: StartGateway, settings: dict[str, str], theme: str
) -> None:
    gateway = await start_gateway(settings)
    page, _ = await opened(browser, theme)
    await page.goto(f"{gateway.url}/arrow/")
    await log_in(page, "bob", "pw-bob")
    await page.locator("input[type=file]").set_input_files([payload(*wheel("secret", "1.0"))])
    await expect(page.locator(".uploads .failed")).to_have_count(1)
    for selector in (".change", ".upload label", ".uploads .failed", ".uploads li"):
        assert await page.evaluate(CONTRAST, selector) >= 4.5, selector
    for action in ("yank", "delete"):
        await page.goto(f"{gateway.url}/-/manage/arrow/?action={action}&version=1.0")
        for selector in ("label", "button", "li", "p a"):
            assert await page.evaluate(CONTRAST, selector) >= 4.5, (action, selector)
