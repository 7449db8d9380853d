"""A refusal where access was had before is an outage: it takes nothing away, and is not believed for long."""

import asyncio
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.errors import UpstreamError
from gateway.messages import ObjectRequest, Stream
from gateway.storage.s3 import storage
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.faults import Answer, Behaviour, FaultyBucket, error, etag_of, healthy
from tests.support.http import RawAnswer, fetch

LARGE = bytes(3_000_000)
KEYS = {"p/large-1.0-py3-none-any.whl": LARGE, "p/small-1.0-py3-none-any.whl": b"small", "page.html": b"page"}
DENIED = error(403, "AccessDenied")


async def get(gateway: Gateway, key: str) -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), f"/{key}")


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_refusal_takes_nothing_from_the_cache(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, restarted: bool
) -> None:
    faulty.objects = dict(KEYS)
    cache = {"cache.memory_bytes": "10000000", "cache.dir": str(tmp_path / "cache")}
    settings = faulty_settings | cache | {"cache.file_ttl": "0", "cache.index_ttl": "0"}

    def kept() -> int:
        return len([path for path in (tmp_path / "cache").rglob("*") if len(path.name) == 64])

    gateway = await start_gateway(settings)
    for key, body in KEYS.items():
        assert (await get(gateway, key)).body == body
    await eventually(lambda: kept() == len(KEYS), kept)
    if restarted:
        gateway = await start_gateway(settings)
    faulty.then(DENIED, times=100)
    for _ in range(2):
        for key, body in KEYS.items():
            answer = await get(gateway, key)
            assert (answer.status, answer.body) == (200, body)
    assert (await get(gateway, "never-seen.html")).status == 404, "it has never said NoSuchKey"
    faulty.script.clear()
    faulty.requests.clear()
    for key, body in KEYS.items():
        assert (await get(gateway, key)).body == body
    assert all("if-none-match" in request.headers for request in faulty.requests), "what was kept is kept"
    assert kept() == len(KEYS)


async def test_a_refusal_of_what_is_too_old_to_be_served_is_no_absence(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = dict(KEYS)
    none = {"cache.index_ttl": "0", "cache.stale_if_error": "0"}
    gateway = await start_gateway(faulty_settings | none | {"cache.memory_bytes": "10000000"})
    assert (await get(gateway, "page.html")).status == 200
    faulty.then(DENIED, times=10)
    assert (await get(gateway, "page.html")).status == 502, "it has never said NoSuchKey"
    faulty.script.clear()
    assert (await get(gateway, "page.html")).status == 200
    del faulty.objects["page.html"]
    assert (await get(gateway, "page.html")).status == 404


async def test_a_refusal_beside_a_transfer_of_the_object_is_no_absence(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    """A range far ahead of a fill is asked for by itself."""
    key, body, go_on = "p/large-1.0-py3-none-any.whl", bytes(12_000_000), asyncio.Event()

    async def halting(answer: Answer) -> None:
        await answer.send(200, [("ETag", etag_of(body)), ("Content-Length", str(len(body)))], body[:500_000])
        await go_on.wait()
        await answer.write(body[500_000:])

    cache = {"cache.memory_bytes": "10000000", "cache.dir": str(tmp_path / "cache")}
    gateway = await start_gateway(faulty_settings | cache)
    faulty.then(halting, DENIED)
    first = await gateway.storage.fetch(ObjectRequest("GET", key))
    with pytest.raises(UpstreamError, match="AccessDenied"):
        await gateway.storage.fetch(ObjectRequest("GET", key, {"range": "bytes=11000000-11000009"}))
    assert not faulty.script, "it was asked for beside the fill"
    go_on.set()
    assert isinstance(first, Stream)
    assert first.body is not None
    assert b"".join([chunk async for chunk in first.body]) == body
    first.close()


async def ingress(answer: Answer) -> None:
    await answer.send(404, [("Content-Type", "text/html")], b"<html>default backend - 404</html>")


@pytest.mark.parametrize("refusal", [DENIED, ingress])
async def test_a_bucket_that_has_told_an_absence_apart_is_believed_no_other_one(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], refusal: Behaviour
) -> None:
    """A pip that is told 404 goes on without the project; and each client would ask the bucket five times."""
    faulty.objects = dict(KEYS)
    settings = {"cache.file_ttl": "0", "cache.index_ttl": "0", "cache.memory_bytes": "10000000", "index.mode": "off"}
    gateway = await start_gateway(faulty_settings | settings)
    assert (await get(gateway, "page.html")).body == b"page"
    assert (await get(gateway, "p/absent.whl")).status == 404
    faulty.then(refusal, times=100)
    for number in range(10):
        faulty.requests.clear()
        answer = await get(gateway, f"p/new-{number}.0-py3-none-any.whl")
        assert answer.status == 503
        assert len(faulty.requests) == (2 if number == 0 else 1), "one listing, which tells nothing either"
        assert (await get(gateway, "page.html")).body == b"page", "stale"
    faulty.script.clear()
    assert (await get(gateway, "p/absent-too.whl")).status == 404
    assert (await get(gateway, "page.html")).body == b"page"


async def test_a_key_outside_what_may_be_read_is_absent_unless_it_is_listed(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """s3:ListBucket for the bucket and s3:GetObject for a part of it: AccessDenied is said of all that is elsewhere."""

    async def partial(answer: Answer) -> None:
        denied = answer.request.key.startswith("private/") or answer.request.key == "favicon.ico"
        await (DENIED if denied else healthy)(answer)

    faulty.objects = KEYS | {"private/there.txt": b"x", "private/there.txt.asc": b"x"}
    gateway = await start_gateway(faulty_settings | {"index.mode": "off"})
    faulty.then(partial, times=100)
    assert (await get(gateway, "p/absent.whl")).status == 404
    for key in ("favicon.ico", "private/there", "private/absent.txt"):
        assert (await get(gateway, key)).status == 404, key
    assert (await get(gateway, "private/there.txt")).status == 503
    assert (await get(gateway, "p/absent-too.whl")).status == 404
    assert (await get(gateway, "private/absent-too.txt")).status == 404


@pytest.mark.parametrize("layout", ["project", "flat"])
@pytest.mark.parametrize("refusal", [DENIED, ingress])
async def test_a_bucket_that_was_listed_and_refuses_a_listing_now_is_lost(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], refusal: Behaviour, layout: str
) -> None:
    """Nothing absent was asked of it before, so it has never said NoSuchKey."""
    faulty.objects = {"p/p-1.0.tar.gz": b"one", "p/p-2.0.tar.gz": b"two"}
    gateway = await start_gateway(faulty_settings | {"index.refresh": "3600", "index.layout": layout})
    assert (await get(gateway, "simple/p/")).status == 200
    await gateway.mount.metadata.settled()
    faulty.then(refusal, times=1000)
    faulty.requests.clear()
    for _ in range(5):
        assert (await get(gateway, "p/p-1.0.tar.gz")).status == 503
    listings = [request for request in faulty.requests if "list-type" in request.target]
    assert len(listings) < 4, "one tells for all"
    faulty.script.clear()
    assert (await get(gateway, "p/p-1.0.tar.gz")).body == b"one"


async def test_an_object_that_is_refused_while_its_bucket_is_listed_is_absent(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """As S3 says it where s3:ListBucket is granted for a prefix only."""
    faulty.objects = {"p/p-1.0.tar.gz": b"one"}
    gateway = await start_gateway(faulty_settings | {"index.refresh": "3600"})
    assert (await get(gateway, "simple/p/")).status == 200

    async def prefix_only(answer: Answer) -> None:
        present = answer.request.key in faulty.objects or "list-type" in answer.request.target
        await (healthy if present else DENIED)(answer)

    faulty.then(prefix_only, times=1000)
    assert (await get(gateway, "p/p-2.0.tar.gz")).status == 404


async def test_an_absent_object_costs_few_requests_where_nothing_may_be_listed(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"index.mode": "static"})
    faulty.then(DENIED, times=100)
    await get(gateway, "x")  # finds out that nothing may be listed
    faulty.requests.clear()
    assert (await get(gateway, "p/absent.whl")).status == 404
    asked = [(request.method, request.key) for request in faulty.requests]
    assert asked == [("GET", key) for key in ("p/absent.whl", "p/absent.whl/index.html", "p/absent.whl/")]


async def test_a_listing_that_is_refused_for_a_while_hides_no_project(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p/p-1.0.tar.gz": b"x", "q/q-1.0.tar.gz": b"x"}
    gateway = await start_gateway(faulty_settings | {"index.refresh": "0"})
    assert (await get(gateway, "simple/p/")).status == 200
    faulty.then(DENIED, times=10)
    assert (await get(gateway, "simple/q/")).status == 503, "whose files have not been listed yet"
    faulty.script.clear()
    assert (await get(gateway, "simple/q/")).status == 200


async def test_a_refused_listing_is_asked_for_again(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refusing(answer: Answer) -> None:
        await (DENIED if "list-type" in answer.request.target else healthy)(answer)

    monkeypatch.setattr(storage, "_REFUSED_SECONDS", 0.0)
    faulty.objects = {"docs/guide.txt": b"x"}
    gateway = await start_gateway(faulty_settings)
    faulty.then(refusing, times=10)
    assert not await gateway.storage.is_directory("docs/")
    faulty.script.clear()
    gateway.storage.expire()  # what is known of the directory itself
    assert await gateway.storage.is_directory("docs/")


async def test_a_bucket_that_gives_out_objects_and_may_no_longer_be_listed_has_absences_again(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.s3.absence._CHANGED_SECONDS", -1.0)
    faulty.objects = dict(KEYS)
    gateway = await start_gateway(faulty_settings | {"index.mode": "off"})
    assert (await get(gateway, "p/absent.whl")).status == 404
    faulty.then(DENIED, times=2)  # the object, and the listing
    assert (await get(gateway, "p/other.whl")).status == 503
    assert (await get(gateway, "page.html")).status == 200
    faulty.then(DENIED, times=10)
    assert (await get(gateway, "p/third.whl")).status == 404


async def test_where_keys_lie_below_hashes_no_listing_is_made_for_one_of_them(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """It would be one of the whole bucket."""
    gateway = await start_gateway(faulty_settings | {"index.mode": "off", "storage.prepend_hash": "true"})
    assert (await get(gateway, "p/absent.whl")).status == 404
    faulty.requests.clear()
    faulty.then(DENIED)
    assert (await get(gateway, "p/other.whl")).status == 503
    assert len(faulty.requests) == 1
