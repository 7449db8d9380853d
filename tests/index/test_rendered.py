"""Pages are made once for as long as what they are made of stands."""

import asyncio
import gzip
import threading
import weakref

from gateway.cache.lru import MemoryLimit
from gateway.index.etags import etag_of
from gateway.index.rendered import Rendered, RenderedPages


async def test_a_page_is_made_anew_when_a_source_or_its_version_changes() -> None:
    pages = RenderedPages("pages", MemoryLimit(10_000_000))
    made = []

    def render() -> bytes:
        made.append(1)
        return b"page %d " % len(made) * 500

    source, other = Rendered(b"source", "", None), Rendered(b"other", "", None)
    first = await pages.get("slot", None, [source], 1, render)
    assert await pages.get("slot", None, [source], 1, render) is first
    assert (await pages.get("slot", None, [source], 2, render)).etag != first.etag
    assert (await pages.get("slot", None, [other], 2, render)).body.startswith(b"page 3")
    assert (await pages.get("slot", None, [other, source], 2, render)).body.startswith(b"page 4")
    packed = await pages.get("slot", "gzip", [other], 2, render)
    # Of the bytes that are sent: another zlib may make others of the same page.
    assert (packed.encoding, packed.etag) == ("gzip", etag_of(packed.body, "-gzip"))


async def test_what_gains_nothing_by_it_is_not_compressed() -> None:
    page = await RenderedPages("pages", MemoryLimit(10_000_000)).get("slot", "zstd", [], None, lambda: b"small")
    assert (page.body, page.encoding) == (b"small", None)


async def test_it_holds_no_more_than_it_may() -> None:
    memory = MemoryLimit(1_000_000)
    pages = RenderedPages("pages", memory)
    for number in range(100):
        await pages.get(number, None, [], None, lambda: bytes(100_000))
    assert 800_000 < memory.stats()["pages"] < 1_000_000
    assert (await pages.get("huge", None, [], None, lambda: bytes(2_000_000))).body


async def test_a_page_keeps_nothing_alive_that_it_was_made_of() -> None:
    source = Rendered(b"source", '"s"', None)
    pages = RenderedPages("pages", MemoryLimit(1_000_000))
    await pages.get("slot", None, [source], None, lambda: b"page")
    assert pages.known("slot", None, [source], None) is not None
    gone = weakref.ref(source)
    del source
    assert gone() is None


async def test_pages_are_made_in_a_thread_once_for_all_who_ask_meanwhile() -> None:
    pages, threads = RenderedPages("pages", MemoryLimit(10_000_000)), []
    may_go = threading.Event()

    def render() -> bytes:
        threads.append(threading.current_thread())
        may_go.wait(20)
        return b"page" * 1000

    source = Rendered(b"source", "", None)
    another = Rendered(b"another", "", None)
    asking = [asyncio.ensure_future(pages.get("slot", "gzip", [source], 1, render)) for _ in range(5)]
    other = asyncio.ensure_future(pages.get("slot", "gzip", [another], 1, lambda: b"another"))
    asking[0].cancel()
    assert (await other).body == b"another", "what is made of something else is another page"
    may_go.set()
    found = await asyncio.gather(*asking[1:])
    assert [len(threads), len({id(page) for page in found})] == [1, 1]
    assert threads[0] is not threading.main_thread()
    assert gzip.decompress(found[0].body) == b"page" * 1000
