"""Redirect or stream, through the whole gateway, before a bucket that tells what it was asked."""

import asyncio
from urllib.parse import parse_qs

import pytest

from gateway.app import Gateway
from gateway.ops.output import STDOUT
from gateway.storage.decorator import drop
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.faults import FaultyBucket
from tests.support.http import RawAnswer, fetch

SMALL, LARGE = b"x" * 1000, b"x" * 2_000_000


@pytest.fixture
def bucket(faulty: FaultyBucket) -> FaultyBucket:
    faulty.objects |= {"small.whl": SMALL, "large.whl": LARGE, "arrow/index.html": b"<a>", "arrow/a.whl": SMALL}
    return faulty


def get(gateway: Gateway, target: str, method: str = "GET", **headers: str) -> "asyncio.Future[RawAnswer]":
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.ensure_future(fetch(int(gateway.url.rpartition(":")[2]), target, method=method, headers=named))


def asked(bucket: FaultyBucket) -> list[tuple[str, str]]:
    return [(request.method, request.key) for request in bucket.requests]


def max_age(answer: RawAnswer) -> int:
    private, _, seconds = answer.headers["cache-control"].partition(", max-age=")
    assert private == "private"
    return int(seconds)


async def test_objects_are_redirected_and_pages_are_not(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": "true"})
    answer = await get(gateway, "/arrow/a.whl", Range="bytes=0-9", If_None_Match='"e"')
    assert answer.status == 302
    url, _, query = answer.headers["location"].partition("?")
    assert url == f"{bucket.url}/{faults.BUCKET}/arrow/a.whl"
    parameters = parse_qs(query)
    assert parameters["X-Amz-Expires"] == ["86400"]
    assert parameters["X-Amz-SignedHeaders"] == ["host"], "no Range, no If-*"
    assert 85790 <= max_age(answer) <= 85800
    assert not [name for name in answer.headers if name.startswith("x-amz")]
    page = await get(gateway, "/arrow/")
    assert (page.status, page.body) == (200, b"<a>")
    assert (await get(gateway, "/arrow")).headers["location"] == "./arrow/"
    assert (await get(gateway, "/health")).status == 200


async def test_a_url_is_stable_and_costs_the_bucket_one_question(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": "true"})
    answers = await asyncio.gather(*(get(gateway, "/small.whl") for _ in range(20)))
    answers += [await get(gateway, "/small.whl") for _ in range(5)]
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert asked(bucket) == [("HEAD", "small.whl")]


async def test_head_is_answered_by_the_gateway(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": "true"})
    for _ in range(2):
        head = await get(gateway, "/small.whl", "HEAD")
        assert (head.status, head.headers["content-length"]) == (200, "1000")


@pytest.mark.parametrize("mode", ["true", "auto"])
async def test_an_absent_object_is_a_404_of_the_gateway(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str], mode: str
) -> None:
    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": mode})
    answer = await get(gateway, "/nope.whl")
    assert answer.status == 404
    assert b"<" not in answer.body


async def test_without_the_check_only_the_first_redirect_asks_the_bucket(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    settings = faulty_settings | {"storage.redirect_urls": "true", "storage.redirect_check": "false"}
    gateway = await start_gateway(settings | {"storage.region_name": "eu-west-1"})
    bucket.accept(faults.SECRETS[0], faults.SECRETS[1])
    first = await get(gateway, "/small.whl")
    assert "%2Fus-east-1%2F" in first.headers["location"], "the region is learnt before anything is signed for clients"
    bucket.requests.clear()
    assert (await get(gateway, "/nope.whl")).status == 302
    assert bucket.requests == []


@pytest.mark.parametrize("public", ["true", "false"])
async def test_without_the_check_a_gateway_that_has_no_route_to_the_storage_redirects_to_it(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str], public: str
) -> None:
    bucket.then(faults.stall, times=100)
    settings = faulty_settings | {"storage.redirect_urls": "true", "storage.redirect_check": "false"}
    gateway = await start_gateway(settings | {"storage.public_url": public})
    assert (await get(gateway, "/small.whl")).status == 302
    assert (await get(gateway, "/other.whl")).status == 302
    if public == "true":
        assert bucket.requests == [], "there is nothing to be learnt"


async def test_without_the_check_credentials_that_are_refused_are_an_error(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    bucket.accept("another", "secret")
    settings = faulty_settings | {"storage.redirect_urls": "true", "storage.redirect_check": "false"}
    assert (await get(await start_gateway(settings), "/small.whl")).status == 502


async def test_auto_redirects_large_objects_for_clients_that_can_follow(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    settings = {"storage.redirect_urls": "auto", "storage.stream_user_agents": "OldTool/1, poetry"}
    gateway = await start_gateway(faulty_settings | settings)
    assert (await get(gateway, "/small.whl")).body == SMALL
    assert (await get(gateway, "/large.whl")).status == 302
    assert (await get(gateway, "/large.whl", Range="bytes=0-9")).status == 302
    assert asked(bucket) == [("GET", "small.whl"), ("GET", "large.whl")], "the object itself tells its size"
    for agent in ("oldtool/1.2", "Mozilla poetry/2.1"):
        assert (await get(gateway, "/large.whl", User_Agent=agent)).body == LARGE
    assert (await get(gateway, "/large.whl", User_Agent="pip/25")).status == 302


async def test_auto_looks_at_the_size_of_the_whole_object(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": "auto"})
    assert (await get(gateway, "/large.whl", Range="bytes=0-9")).status == 302
    assert (await get(gateway, "/small.whl", Range="bytes=0-9")).body == SMALL[:10]


async def test_auto_takes_its_least_size_from_the_settings(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    settings = {"storage.redirect_urls": "auto", "storage.redirect_min_size": "1000"}
    gateway = await start_gateway(faulty_settings | settings)
    assert (await get(gateway, "/small.whl")).status == 302
    assert (await get(gateway, "/arrow/a.whl")).status == 302
    bucket.objects["tiny"] = b"x" * 999
    assert (await get(gateway, "/tiny")).status == 200


async def test_after_a_while_the_gateway_looks_again(
    start_gateway: StartGateway,
    bucket: FaultyBucket,
    faulty_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.storage.redirecting._SEEN_SECONDS", 0.0)
    always = await start_gateway(faulty_settings | {"storage.redirect_urls": "true"})
    auto = await start_gateway(faulty_settings | {"storage.redirect_urls": "auto"})
    locations = {(await get(always, "/large.whl")).headers["location"] for _ in range(3)}
    assert len(locations) == 1, "the URL stays"
    assert (await get(auto, "/large.whl")).status == 302
    bucket.objects["large.whl"] = SMALL
    assert (await get(auto, "/large.whl")).body == SMALL, "it has been replaced by a small one"
    del bucket.objects["large.whl"]
    assert (await get(always, "/large.whl")).status == 404
    assert (await get(auto, "/large.whl")).status == 404


@pytest.mark.parametrize("how", ["refresh", "forget", "delete"])
async def test_what_may_have_changed_is_looked_at_again(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str], how: str
) -> None:
    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": "true"})
    for key in ("/large.whl", "/small.whl"):
        assert (await get(gateway, key)).status == 302
    bucket.requests.clear()
    bucket.objects.pop("large.whl")
    match how:
        case "refresh":
            gateway.refresh()
        case "forget":
            gateway.storage.forget("large.whl")
        case "delete":
            await gateway.storage.delete("large.whl")
    assert (await get(gateway, "/large.whl")).status == 404
    assert (await get(gateway, "/small.whl")).status == 302
    looked = [key for method, key in asked(bucket) if method == "HEAD"]
    assert ("small.whl" in looked) == (how == "refresh")


async def test_a_look_that_was_under_way_does_not_count_after_a_refresh(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": "true"})
    assert (await get(gateway, "/small.whl")).status == 302, "the first one is slower"
    go_on = asyncio.Event()

    async def late(answer: faults.Answer) -> None:
        await answer.send(200, [("ETag", '"e"'), ("Content-Length", "2000000")])
        await go_on.wait()

    async def held(answer: faults.Answer) -> None:
        await go_on.wait()
        await late(answer)

    bucket.then(held)
    first = get(gateway, "/large.whl")
    await bucket.until(lambda: ("HEAD", "large.whl") in asked(bucket))
    gateway.refresh()
    bucket.objects.pop("large.whl")
    second = get(gateway, "/large.whl")
    assert (await second).status == 404
    go_on.set()
    assert (await first).status == 302
    assert (await get(gateway, "/large.whl")).status == 404


async def test_the_bucket_s_refusals_are_errors_and_no_redirects(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    bucket.accept("AKIDOTHER", "other")
    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": "true"})
    assert (await get(gateway, "/small.whl")).status == 502


async def test_expire_after_and_buffer_time_are_as_set(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    settings = {"storage.redirect_urls": "true", "storage.expire_after": "3600", "storage.buffer_time": "60"}
    answer = await get(await start_gateway(faulty_settings | settings), "/small.whl")
    assert "X-Amz-Expires=3600&" in answer.headers["location"]
    assert 3530 <= max_age(answer) <= 3540


async def test_public_urls_are_unsigned_and_so_is_what_the_gateway_fetches(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    bucket.objects["a b/ключ+.whl"] = SMALL
    settings = faulty_settings | {"storage.public_url": "true"}
    streaming = await start_gateway(settings)
    assert (await get(streaming, "/small.whl")).body == SMALL
    redirecting = await start_gateway(settings | {"storage.redirect_urls": "true"})
    answer = await get(redirecting, "/a%20b/%D0%BA%D0%BB%D1%8E%D1%87+.whl")
    assert answer.status == 302
    assert answer.headers["location"] == f"{bucket.url}/{faults.BUCKET}/a%20b/%D0%BA%D0%BB%D1%8E%D1%87%2B.whl"
    assert not [request for request in bucket.requests if "authorization" in request.headers]
    assert (await get(streaming, "/arrow")).status == 301, "listings are signed all the same"
    assert "authorization" in bucket.requests[-1].headers


async def test_nothing_that_is_signed_is_logged(
    start_gateway: StartGateway,
    bucket: FaultyBucket,
    faulty_settings: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": "true", "log.access": "true"})
    location = (await get(gateway, "/small.whl")).headers["location"]
    followed = await fetch(int(gateway.url.rpartition(":")[2]), "/small.whl?" + location.partition("?")[2])
    assert followed.status == 302
    bucket.then(faults.error(403, "SignatureDoesNotMatch"), times=2)
    errors = await get(gateway, "/arrow/a.whl")
    metrics = await get(gateway, "/metrics")
    STDOUT.flush(20)
    said = caplog.text + capfd.readouterr().out + errors.body.decode() + metrics.body.decode()
    assert 'path="/small.whl"' in said or "/small.whl" in said
    signature = parse_qs(location.partition("?")[2])["X-Amz-Signature"][0]
    assert signature not in said
    assert "X-Amz-" not in said


@pytest.mark.parametrize("mode", ["true", "auto"])
async def test_a_refresh_looks_again_before_a_redirect(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str], mode: str
) -> None:
    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": mode, "cache.memory_bytes": "10000000"})
    assert (await get(gateway, "/large.whl")).status == 302
    del bucket.objects["large.whl"]
    gateway.refresh()
    assert (await get(gateway, "/large.whl")).status == 404


async def test_what_was_looked_at_before_a_refresh_is_looked_at_after_it(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    go_on = asyncio.Event()

    async def slow(answer: faults.Answer) -> None:
        await go_on.wait()
        await answer.send(200, [("ETag", faults.etag_of(LARGE)), ("Content-Length", str(len(LARGE)))])

    gateway = await start_gateway(faulty_settings | {"storage.redirect_urls": "true"})
    bucket.then(slow)
    early = get(gateway, "/large.whl")
    await bucket.until(lambda: len(bucket.requests) == 1)
    gateway.refresh()
    del bucket.objects["large.whl"]
    assert (await get(gateway, "/large.whl")).status == 404, "it does not share the earlier look"
    go_on.set()
    assert (await early).status == 302
    assert (await get(gateway, "/large.whl")).status == 404


async def test_what_is_dropped_is_looked_at_again(
    start_gateway: StartGateway, bucket: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    settings = {"storage.redirect_urls": "auto", "storage.redirect_check": "false", "storage.redirect_min_size": "1500"}
    gateway = await start_gateway(faulty_settings | settings)
    for _ in range(2):
        assert (await get(gateway, "/large.whl")).status == 302
    bucket.objects["large.whl"] = SMALL
    assert (await get(gateway, "/large.whl")).status == 302
    drop(gateway.storage, lambda key: key == "other.whl")
    bucket.requests.clear()
    drop(gateway.storage, lambda key: key == "large.whl")
    assert (await get(gateway, "/large.whl")).status == 200, "it is small by now"
    assert len(asked(bucket)) == 1
