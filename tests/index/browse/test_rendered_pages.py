"""Pages for people are made once for as long as what they show stands, whatever address they are asked for by."""

from collections.abc import Hashable
from typing import Any, cast

from gateway.cache.lru import MemoryLimit
from gateway.cache.refreshing import RefreshedValue
from gateway.index.backlog import Backlog
from gateway.index.browse.pages import ProjectPages
from gateway.index.browse.rendered_pages import RenderedProjectPages
from gateway.index.browse.renderer import Renderer
from gateway.index.catalog.listing import Files, Projects
from gateway.index.releases import Releases, Sources
from gateway.index.simple.pages import File, Project
from gateway.index.wheels.known_metadata import NOTHING_KNOWN
from gateway.index.wheels.metadata import WheelMetadata
from gateway.messages import PageRequest
from gateway.storage.base import StoredObject


class Counting:
    """Stands in for Releases."""

    def __init__(self) -> None:
        self.metadata = 1
        self.looked = self.built = 0

    def version(self, sources: Sources, base_url: str) -> Hashable:
        return self.metadata

    def newest_wheel(self, sources: Sources) -> StoredObject | None:
        self.looked += 1
        return None

    def project(self, sources: Sources, up: str, base_url: str) -> Project:
        self.built += 1
        return Project(sources.name, ("1.0",), (File("p-1.0.tar.gz", "p/p-1.0.tar.gz"),))


def people(releases: Any) -> RenderedProjectPages:
    unused = cast(Any, None)
    memory = MemoryLimit(10_000_000)
    browse = ProjectPages(cast(WheelMetadata, unused), cast(Renderer, unused), "", "", memory)
    return RenderedProjectPages(browse, cast(Releases, releases), memory, Backlog())


def request(base_url: str, query: str = "") -> PageRequest:
    return PageRequest("GET", "p/", query=query, base_url=base_url)


async def test_a_project_s_page_is_made_once_for_all_hosts() -> None:
    releases = Counting()
    pages, sources = people(releases), Sources("p", RefreshedValue(Files((), frozenset()), 0.0), None, NOTHING_KNOWN)
    for _ in range(3):
        for host in ("https://a.example/", "http://b.example/x/"):
            body = (await pages.project(request(host), sources)).body
            assert f"pip install --index-url {host}simple/".encode() in body
            assert b"p-1.0.tar.gz" in body
    assert (releases.built, releases.looked) == (1, 1)
    assert b"--trusted-host b.example p" in body
    releases.metadata = 2
    await pages.project(request("https://a.example/"), sources)
    assert (releases.built, releases.looked) == (2, 2), "metadata has come in"
    other = Sources("p", RefreshedValue(Files((), frozenset({"p"})), 0.0), None, NOTHING_KNOWN)
    await pages.project(request("https://a.example/"), other)
    assert (releases.built, releases.looked) == (3, 3), "another listing"


async def test_an_address_stays_text() -> None:
    page = await people(Counting()).root(
        request('http://"><script>/'), RefreshedValue(Projects({"p": ("p",)}, False), 0.0)
    )
    assert b"><script>/" not in page.body
    assert b"&quot;&gt;&lt;script&gt;/simple/" in page.body


async def test_a_search_is_made_once_for_as_long_as_the_projects_stand() -> None:
    pages, projects = people(Counting()), RefreshedValue(Projects({"one": ("one",), "two": ("two",)}, False), 0.0)
    first = await pages.root(request("http://a/", "q=on"), projects)
    assert b'href="one/"' in first.body
    assert b'href="two/"' not in first.body
    assert await pages.root(request("http://a/", "q=on"), projects) is first
    more = RefreshedValue(Projects({"one": ("one",), "ones": ("ones",)}, False), 0.0)
    assert b'href="ones/"' in (await pages.root(request("http://a/", "q=on"), more)).body
