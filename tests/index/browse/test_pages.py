"""The pages for people, as they come over HTTP. How they look and work in a browser is in e2e/test_browser.py."""

import asyncio
import io
import logging
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.app import Gateway
from gateway.cache.lru import MemoryLimit
from gateway.index.browse.pages import ProjectPages
from gateway.index.browse.readme import REQUIRES_PYTHON, About
from gateway.index.simple.pages import File, Project
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket, error
from tests.support.http import RawAnswer, fetch
from tests.support.publicindex import PublicIndex
from tests.support.wheels import wheel

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"


async def get(gateway: Gateway, target: str, accept: str = BROWSER, **headers: str) -> RawAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Accept": accept}
    return await fetch(int(gateway.url.rpartition(":")[2]), target, headers=named)


def described(version: str, text: str, fields: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(
            f"proj-{version}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: proj\nVersion: {version}\nSummary: About {version}\n{fields}"
            f"Description-Content-Type: text/markdown\n\n{text}",
        )
    return buffer.getvalue()


def links(body: bytes) -> list[str]:
    found: list[str] = []

    class StaticPage(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attrs if name == "href")

    StaticPage().feed(body.decode())
    return found


async def test_installers_get_the_plain_index_at_the_same_address(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = dict([wheel("proj", "1.0")])
    faulty.objects = {f"proj/{name}": content for name, content in faulty.objects.items()}
    gateway = await start_gateway(faulty_settings)
    await get(gateway, "/proj/")
    await gateway.mount.metadata.settled()
    for path in ("/", "/proj/"):
        page = await get(gateway, path)
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b"pip install --index-url http://gateway/simple/" in page.body
        assert "script-src 'sha256-" in page.headers["content-security-policy"]
        assert "unsafe-inline" not in page.headers["content-security-policy"]
        assert "Accept" in page.headers["vary"]
        for accept in ("", "*/*", "text/html", PIP):
            assert b"pip install" not in (await get(gateway, path, accept)).body
        assert b"pip install" not in (await get(gateway, f"{path}?format=text/html")).body
        assert b"pip install" not in (await get(gateway, f"/simple{path}")).body
        again = await get(gateway, path, If_None_Match=page.headers["etag"])
        assert (again.status, again.body) == (304, b"")
    assert (await get(gateway, "/nope/")).status == 404
    off = await start_gateway(faulty_settings | {"index.browse": "false"})
    assert b"pip install" not in (await get(off, "/")).body


async def test_a_static_page_keeps_its_place(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"index.html": b"<p>ours</p>", "proj/index.html": b"<p>proj</p>"}
    gateway = await start_gateway(faulty_settings)
    assert (await get(gateway, "/")).body == b"<p>ours</p>"
    assert (await get(gateway, "/proj/")).body == b"<p>proj</p>"


@pytest.mark.parametrize(
    ("layout", "line"),
    [
        ("project", b"aws s3 cp dist/ s3://&lt;bucket&gt;/&lt;project&gt;/ --recursive"),
        ("flat", b"aws s3 cp dist/ s3://&lt;bucket&gt;/ --recursive"),
    ],
)
async def test_an_empty_index_says_how_to_fill_it(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], layout: str, line: bytes
) -> None:
    gateway = await start_gateway(faulty_settings | {"index.layout": layout})
    page = await get(gateway, "/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["cache-control"] == "no-store"
    assert "script-src 'sha256-" in page.headers["content-security-policy"]
    assert b"This index has no packages yet." in page.body
    assert b"volume" not in page.body
    assert line in page.body
    assert b"within 30 seconds" in page.body
    for accept in ("*/*", PIP):
        plain = await get(gateway, "/", accept)
        assert (plain.status, plain.body.partition(b"\n")[0]) == (404, b"404 This index has no packages yet")
    faulty.objects = {"proj/proj-1.0.tar.gz": b"x"}
    gateway.refresh()
    assert b"no packages" not in (await get(gateway, "/")).body


async def test_an_empty_directory_may_be_a_volume_that_is_missing(start_gateway: StartGateway, tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    gateway = await start_gateway({"storage.dir": str(tmp_path / "packages")})
    page = (await get(gateway, "/")).body
    assert b"check that it is mounted" in page
    assert b"cp dist/* &lt;directory&gt;/&lt;project&gt;/" in page
    assert str(tmp_path).encode() not in page


async def test_an_index_that_can_t_be_listed_is_not_called_empty(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings)
    faulty.then(error(403, "AccessDenied"), times=20)
    page = await get(gateway, "/")
    assert page.status == 404
    assert b"no packages" not in page.body


async def test_search_without_a_script(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"team-{number}/x": b"x" for number in range(450)} | {"team/x": b"x", "my-team/x": b"x"}
    gateway = await start_gateway(faulty_settings)

    async def names(target: str) -> list[str]:
        return [link[:-1] for link in links((await get(gateway, target)).body) if re.fullmatch(r"[a-z0-9-]+/", link)][
            :-1
        ]

    assert len(await names("/")) == 200
    assert len(await names("/?page=3")) == 52
    assert await names("/?q=Team_44") == ["team-44", *(f"team-44{number}" for number in range(10))]
    assert (await names("/?q=team"))[0] == "team"
    assert "my-team" in await names("/?q=y-team")
    assert await names("/?q=nothing") == []
    for query in ("page=x", "page=-1", "page=99999999999999999999", "page=0", "q=%FF", "q=", "q=a&q=b", "x"):
        assert (await get(gateway, f"/?{query}")).status == 200
    evil = (await get(gateway, "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")).body
    assert b"<script>alert" not in evil
    assert b"&lt;script&gt;alert" in evil
    page = (await get(gateway, "/?q=team&page=2")).body
    assert {"?q=team&page=1", "?q=team&page=3"} <= set(links(page))


async def test_a_project_s_readme_is_that_of_its_newest_release_that_counts(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {
        "proj/proj-1.0-py3-none-any.whl": described("1.0", "# Old"),
        "proj/proj-1.1-py3-none-any.whl": described("1.1", "# New <script>alert(1)</script>"),
        "proj/proj-2.0rc1-py3-none-any.whl": described("2.0rc1", "# Next"),
        "proj/proj-3.0-py3-none-any.whl": described("3.0", "# Bad"),
        "proj/proj-3.0-py3-none-any.whl.yanked": b"<b>broken</b>",
    }
    gateway = await start_gateway(faulty_settings)
    await get(gateway, "/proj/")
    await gateway.mount.metadata.settled()
    page = (await get(gateway, "/proj/")).body
    assert b"About 1.1" in page
    assert b">New" in page
    assert b"<script>alert" not in page
    assert b"yanked: &lt;b&gt;broken&lt;/b&gt;" in page
    assert b'<span class="version">1.1</span></h1>' in page
    assert page.count(b'<span class="badge">latest</span>') == 1
    assert b'<strong>2.0rc1</strong> <span class="badge">pre-release</span>' in page
    assert page.index(b">New") < page.index(b'<h2 id="all-files">') < page.index(b"proj-1.1-py3"), "the README first"
    assert "../proj/proj-1.0-py3-none-any.whl" in links(page)
    faulty.objects["proj/proj-1.1-py3-none-any.whl"] = described("1.1", "# Newer")
    gateway.refresh()
    assert b">Newer" in (await get(gateway, "/proj/")).body


async def test_a_prerelease_is_the_headline_where_there_is_no_other(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"proj/proj-2.0rc1.tar.gz": b"x", "proj/proj-1.0.tar.gz": b"x"}
    gateway = await start_gateway(faulty_settings)
    faulty.objects["proj/proj-1.0.tar.gz.yanked"] = b""
    await get(gateway, "/proj/")
    await gateway.mount.metadata.settled()
    page = (await get(gateway, "/proj/")).body
    assert b'<span class="version">2.0rc1</span> <span class="badge">pre-release</span></h1>' in page
    assert b"Every release is yanked" not in page
    faulty.objects["proj/proj-2.0rc1.tar.gz.yanked"] = b""
    gateway.refresh()
    await get(gateway, "/proj/")
    await gateway.mount.metadata.settled()
    page = (await get(gateway, "/proj/")).body
    assert b"Every release is yanked" in page
    assert b'class="version"' not in page


async def test_the_page_says_which_python_the_headlined_release_requires(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"proj/proj-1.0-py3-none-any.whl": described("1.0", "# Old\n", "Requires-Python: >=3.8\n")}
    gateway = await start_gateway(faulty_settings)
    row = b"<dt>Requires Python</dt><dd>&gt;=3.8</dd>"
    assert row in (await get(gateway, "/proj/")).body, "from the README's wheel, before its facts are known"
    await gateway.mount.metadata.settled()
    page = (await get(gateway, "/proj/")).body
    assert row in page
    assert b"README of" not in page
    faulty.objects["proj/proj-2.0.tar.gz"] = b"x"
    gateway.refresh()
    assert b"README of 1.0" in (await get(gateway, "/proj/")).body


def test_what_the_headlined_files_require_counts_more_than_an_older_wheel() -> None:
    unused = cast(Any, None)
    pages = ProjectPages(unused, unused, "", "", MemoryLimit(0))
    project = Project("p", (), (File("p-2.0.tar.gz", "x", requires_python=">=3.12"),))
    page = pages.project(project, About(facts=((REQUIRES_PYTHON, ">=3.8"), ("License", "MIT")), version="1.0"))
    assert b"<dt>Requires Python</dt><dd>&gt;=3.12</dd>" in page
    assert b"3.8" not in page
    assert b"<dt>License</dt>" in page


async def test_a_wheel_that_can_t_be_read_has_a_page_all_the_same(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.index")
    faulty.objects = {"proj/proj-1.0-py3-none-any.whl": b"no wheel", "proj/a <b>.txt": b"x"}
    gateway = await start_gateway(faulty_settings)
    for _ in range(3):
        page = await get(gateway, "/proj/")
        assert page.status == 200
    assert caplog.text.count("the page of proj has no README") == 1
    assert "../proj/a%20%3Cb%3E.txt" in links(page.body)
    assert b"a <b>" not in page.body


async def test_a_readme_that_takes_all_there_is_is_shown_as_text_and_not_tried_again(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = "|" + "a|" * 30_000 + "\n|" + "-|" * 30_000 + "\n" + "|<b\n" * 100
    faulty.objects = {"proj/proj-1.0-py3-none-any.whl": described("1.0", table)}
    caplog.set_level(logging.INFO, "gateway.index")
    gateway = await start_gateway(faulty_settings)
    for _ in range(3):
        pages = await asyncio.gather(*(get(gateway, "/proj/") for _ in range(4)))
        assert [(page.status, b"<pre>|a|a|" in page.body, b"|&lt;b" in page.body) for page in pages] == [
            (200, True, True)
        ] * 4
        gateway.refresh()
    assert caplog.text.count("a README is shown as text") == 1


@pytest.mark.parametrize("allowed", [False, True])
async def test_browsers_fetch_images_of_other_hosts_only_if_the_settings_say_so(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], allowed: bool
) -> None:
    faulty.objects = {"proj/proj-1.0-py3-none-any.whl": described("1.0", "![Logo](https://h.example/logo.png)")}
    gateway = await start_gateway(faulty_settings | ({"index.remote_images": "true"} if allowed else {}))
    page = await get(gateway, "/proj/")
    sources = re.findall(r"img-src ([^;]*);", page.headers["content-security-policy"])
    assert sources == ["'self' https: data:" if allowed else "'self' data:"]
    assert (b"<img" in page.body) is allowed
    assert ("https://h.example/logo.png" in links(page.body)) is not allowed


async def test_a_project_that_pip_can_not_install_from_has_a_page_all_the_same(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """Only eggs or installers lie in its folder, or another index has it without files; none of it is yanked."""
    index = PublicIndex()
    index.projects = {"without-files": {}}
    faulty.objects = {"proj/proj-1.0-py3.8.egg": b"x", "exe/exe-1.0.win32.exe": b"x"}
    async with index.running():
        settings = faulty_settings | {"fallback.mode": "mirror", "fallback.base_url": index.url}
        gateway = await start_gateway(settings)
        for target, what in (("/proj/", b"1.0-py3.8.egg"), ("/exe/", b"win32.exe"), ("/without-files/", b"No files.")):
            page = await get(gateway, target)
            assert (target, page.status, what in page.body) == (target, 200, True)
            assert b"Every release is yanked" not in page.body


async def test_projects_of_the_other_index_have_pages_too(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    index = PublicIndex()
    index.projects = {"public-lib": {"public_lib-1.0.tar.gz": b"x"}}
    index.page = {"project-status": {"status": "archived", "reason": "use <other>"}}
    faulty.objects = {"proj/x": b"x"}
    async with index.running():
        settings = faulty_settings | {"fallback.mode": "mirror", "fallback.base_url": index.url}
        gateway = await start_gateway(settings)
        page = (await get(gateway, "/public-lib/")).body
        assert "../public-lib/public_lib-1.0.tar.gz" in links(page)
        assert b"This project is archived: use &lt;other&gt;." in page
        assert index.url in links((await get(gateway, "/?q=nothing")).body)
