"""URLs that are kept: how long, for whom, and how often they are signed."""

import asyncio
from collections.abc import Hashable

from gateway.cache.lru import MemoryLimit
from gateway.messages import Caller
from gateway.storage.s3.client import SignedQuery
from gateway.storage.s3.origins.presigned_urls import PresignedUrls


class Origin:
    """Signs with a number, so that tests see which signature they got."""

    def __init__(self, expires_at: float | None = None) -> None:
        self.signed = 0
        self.key = "AKID"
        self.now = 1000.0
        self.steady = 5.0
        self.expires_at = expires_at
        self.go = asyncio.Event()
        self.go.set()

    async def open(self, method: str, path: str, headers: dict[str, str]) -> None:
        raise AssertionError("nothing is fetched")

    def url(self, path: str) -> str:
        return f"https://bucket{path}"

    @property
    def shared(self) -> bool:
        return True

    def serves(self, caller: Caller) -> bool:
        return True

    def variant(self, caller: Caller | None) -> Hashable:
        return self.key

    def scope(self, path: str) -> str:
        return path

    async def grant(self, method: str, path: str, caller: Caller | None, lifetime: int) -> SignedQuery:
        self.signed += 1
        number = self.signed
        await self.go.wait()
        expires_at = self.now + lifetime
        return SignedQuery(f"signature={number}", min(expires_at, self.expires_at or expires_at))


def links(origin: Origin, lifetime: int = 86400, buffer_time: int = 600) -> PresignedUrls:
    clocks = {"clock": lambda: origin.now, "steady": lambda: origin.steady}
    return PresignedUrls(origin, MemoryLimit(10**6), lifetime=lifetime, buffer_time=buffer_time, **clocks)  # type: ignore[arg-type]


async def test_a_url_is_reused_until_the_buffer_begins() -> None:
    origin = Origin()
    kept = links(origin)
    first = await kept.get("/k")
    assert (first.url, first.reusable_until) == ("https://bucket/k?signature=1", 1000.0 + 85800)
    origin.now += 85799
    again = await kept.get("/k")
    assert (again.url, again.reusable_until) == (first.url, first.reusable_until)
    origin.now += 1
    assert (await kept.get("/k")).url == "https://bucket/k?signature=2"


async def test_a_clock_that_is_set_back_keeps_no_url_alive() -> None:
    origin = Origin()
    kept = links(origin)
    first = await kept.get("/k")
    origin.now -= 7200
    assert (await kept.get("/k")).reusable_until == first.reusable_until - 7200
    for passed, url in ((85799, first.url), (1, "https://bucket/k?signature=2")):
        origin.steady += passed
        origin.now += passed
        assert (await kept.get("/k")).url == url


async def test_a_url_never_outlives_what_the_origin_says() -> None:
    origin = Origin(expires_at=1000.0 + 3600)
    kept = links(origin)
    assert (await kept.get("/k")).reusable_until == 1000.0 + 3000
    origin.now += 3000
    assert (await kept.get("/k")).url.endswith("=2")


async def test_what_expires_within_the_buffer_is_not_kept() -> None:
    origin = Origin()
    kept = links(origin, lifetime=60)
    found = [await kept.get("/k") for _ in range(3)]
    assert [link.url.rpartition("=")[2] for link in found] == ["1", "2", "3"]
    assert all(link.reusable_until < origin.now for link in found)


async def test_other_objects_and_other_credentials_have_urls_of_their_own() -> None:
    origin = Origin()
    kept = links(origin)
    assert len({(await kept.get("/a")).url, (await kept.get("/b")).url}) == 2
    before = (await kept.get("/a")).url
    origin.key = "AKIDNEW"
    assert (await kept.get("/a")).url != before


async def test_many_who_ask_at_once_get_one_signature() -> None:
    origin = Origin()
    origin.go.clear()
    kept = links(origin)
    asked = [asyncio.ensure_future(kept.get("/k")) for _ in range(50)]
    await asyncio.sleep(0)
    origin.go.set()
    assert {link.url for link in await asyncio.gather(*asked)} == {"https://bucket/k?signature=1"}
    assert origin.signed == 1
