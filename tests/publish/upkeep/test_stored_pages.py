"""Where the links of stored pages lead."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.publish.upkeep import stored_pages
from gateway.publish.upkeep.stored_pages import StoredPages
from gateway.storage.base import StoredObject
from gateway.storage.local.storage import LocalStorage
from gateway.storage.stack import build_storage
from tests.support.faults import FaultyBucket

FILE = "acme_web-1.0+cu1.tar.gz"
LINK = "acme_web-1.0%2Bcu1.tar.gz"


async def found(tmp_path: Path, href: str, key: str, page: str = "acme-web/index.html", **settings: str) -> list[str]:
    """What is said of a page with this link, while the file is at `key`."""
    for name, content in ((key, "x"), (page, f'<a href="{href}">x</a>')):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    said = {name.replace("__", "."): value for name, value in settings.items()}
    loaded = load(said | {"storage.dir": str(tmp_path)}, environ={}, cwd=tmp_path)
    root = loaded.rewrite.add_prefix[1:] + "/" if loaded.rewrite.add_prefix else ""
    pages = StoredPages(LocalStorage(tmp_path), root, loaded)
    return [finding.what for finding in await pages.of(StoredObject(page.removeprefix(root), 1, "", 0.0))]


@pytest.mark.parametrize(
    "href",
    [LINK, f"./{LINK}#sha256={'a' * 64}", f"../acme-web/{LINK}", f"/acme-web/{LINK}?x", f"/{FILE}/../acme-web/{FILE}"],
)
async def test_a_link_to_a_file_that_is_there_is_right(tmp_path: Path, href: str) -> None:
    assert await found(tmp_path, href, f"acme-web/{FILE}") == []


@pytest.mark.parametrize("href", [f"/{LINK}", f"../other/{LINK}", f"x/{LINK}"])
async def test_a_link_to_another_place_is_wrong(tmp_path: Path, href: str) -> None:
    assert await found(tmp_path, href, f"acme-web/{FILE}") == [f"the page names {FILE}, which is not there"]


@pytest.mark.parametrize("href", [f"https://example.com/{LINK}", f"//example.com/{LINK}", f"http://[/{LINK}"])
async def test_what_is_elsewhere_is_not_looked_for(tmp_path: Path, href: str) -> None:
    assert await found(tmp_path, href, f"files/{FILE}") == []


async def test_paths_are_mapped_as_for_clients(tmp_path: Path) -> None:
    settings = {"server__base_path": "/pypi", "rewrite__strip_prefix": "/simple", "rewrite__add_prefix": "/team"}
    page = "team/acme-web/index.html"
    for href in (LINK, f"/pypi/simple/acme-web/{LINK}", f"/pypi/acme-web/{LINK}", f"/elsewhere/{LINK}"):
        assert await found(tmp_path, href, f"team/acme-web/{FILE}", page, **settings) == [], href
    assert len(await found(tmp_path, f"/pypi/{LINK}", f"team/acme-web/{FILE}", page, **settings)) == 1


async def test_a_page_under_the_name_of_its_folder_names_only_its_own_project(tmp_path: Path) -> None:
    (tmp_path / "acme-web").mkdir()
    (tmp_path / "acme-web" / "other-1.0.tar.gz").write_text("x")
    assert await found(tmp_path, LINK, f"acme-web/{FILE}") == []
    assert await found(tmp_path, "x", f"acme-web/{FILE}") == [
        "the page names x, which is not there",
        f"the page does not name {FILE}, which lies beside it",
    ]


async def test_a_page_that_can_t_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_pages, "_MAX_PAGE_BYTES", 10)
    assert await found(tmp_path, LINK, f"acme-web/{FILE}") == ["the page can't be read: it has over 10 bytes"]


async def test_a_page_that_is_stored_as_json_is_left_alone(
    faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"acme-web/index.html": b"{}", f"acme-web/{FILE}": b"x"}
    loaded = load(faulty_settings, environ={}, cwd=Path("/nowhere"))
    storage = build_storage(loaded)
    await storage.start()
    page = StoredObject("acme-web/index.html", 2, "", 0.0)
    for kind, findings in (("application/vnd.pypi.simple.v1+json", 0), ("text/html", 1)):
        faulty.headers[page.key] = [("Content-Type", kind)]
        storage.forget(page.key)
        assert len(await StoredPages(storage, "", loaded).of(page)) == findings
    await storage.close()
