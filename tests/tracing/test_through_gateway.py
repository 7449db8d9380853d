"""What a collector is told of requests, and what the storage and the other index are."""

import asyncio
from pathlib import Path

from gateway.app import Gateway
from gateway.config.load import load
from tests.conftest import StartGateway
from tests.support.collector import Collected, Collector
from tests.support.eventually import eventually
from tests.support.faults import Answer, Behaviour, FaultyBucket, error, healthy
from tests.support.http import RawAnswer, fetch
from tests.support.publicindex import PublicIndex
from tests.support.uploads import sdist, upload

WHEEL = "/arrow/arrow-1.0-py3-none-any.whl"
CONTENT = b"x" * 10_000
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CACHE = {"cache.memory_bytes": "16MB"}


async def get(gateway: Gateway, path: str, **headers: str) -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), path, headers=headers)


async def server_span(collector: Collector, path: str) -> Collected:
    """That of the one request for `path`. It ends last of all that a request waits for."""

    def found() -> list[Collected]:
        return [span for span in collector.spans if span.kind == "server" and span.attributes["url.path"] == path]

    await collector.until(lambda: bool(found()))
    [span] = found()
    return span


def held(go_on: asyncio.Event) -> Behaviour:
    """A storage that answers when it is told to."""

    async def behave(answer: Answer) -> None:
        await go_on.wait()
        await healthy(answer)

    return behave


async def test_an_object_that_is_not_cached(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    faulty.objects[WHEEL[1:]] = CONTENT
    gateway = await start_gateway(traced | CACHE)
    answer = await get(gateway, f"{WHEEL}?X-Amz-Signature=secret", **{"User-Agent": "pip/25", "X-Request-ID": "r1"})
    assert answer.status == 200
    span = await server_span(collector, WHEEL)
    assert collector.tree(span) == ["GET object", ["index", ["cache", ["fill", ["GET"]]]]]
    assert (span.parent_id, span.failed, span.service) == ("", False, "gateway")
    assert span.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": WHEEL,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "user_agent.original": "pip/25",
        "http.response.body.size": 10_000,
        "http.response.status_code": 200,
        "gateway.mount": "default",
        "gateway.route": "object",
        "gateway.request_id": "r1",
    }
    upstream = collector.one("GET")
    assert (upstream.kind, upstream.trace_id, upstream.failed) == ("client", span.trace_id, False)
    assert upstream.attributes == {
        "http.request.method": "GET",
        "url.full": f"{faulty.url}/teams-bucket{WHEEL}",
        "server.address": "127.0.0.1",
        "server.port": faulty.port,
        "http.response.status_code": 200,
    }
    assert collector.one("cache").attributes == {"gateway.cache": "none"}
    assert collector.paths == {"/v1/traces"}
    [request] = faulty.requests
    assert request.headers["traceparent"][:-1] == f"00-{upstream.trace_id}-{upstream.span_id}-0"
    assert int(request.headers["traceparent"][-1]) & 1
    assert "traceparent" not in request.headers["authorization"]
    assert not any(b"secret" in body or b"AKIDFAULTY" in body for body in collector.bodies)


async def test_an_object_in_memory(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    faulty.objects[WHEEL[1:]] = CONTENT
    gateway = await start_gateway(traced | CACHE)
    await get(gateway, WHEEL)
    await server_span(collector, WHEEL)
    collector.spans.clear()
    await get(gateway, WHEEL)
    span = await server_span(collector, WHEEL)
    assert collector.tree(span) == ["GET object", ["index", ["cache"]]]
    assert span.attributes["gateway.cache"] == collector.one("cache").attributes["gateway.cache"] == "memory"
    assert len(faulty.requests) == 1


async def test_a_page(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    faulty.objects["arrow/arrow-1.0.tar.gz"] = CONTENT
    gateway = await start_gateway(traced | {"index.compute_hashes": "false"})
    assert (await get(gateway, "/arrow/")).status == 200
    span = await server_span(collector, "/arrow/")
    listing = ["refresh listings", ["GET"], ["refresh the root's listing", ["GET"]]]
    name, (index, first, *_) = collector.tree(span)
    assert (name, index, first) == ("GET index", "index", listing)
    assert span.attributes["gateway.route"] == "index"


async def test_a_reply_that_is_repeated_is_in_a_trace_of_its_own(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    faulty.objects["arrow/arrow-1.0.tar.gz"] = CONTENT
    gateway = await start_gateway(traced | CACHE | {"index.compute_hashes": "false"})
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    lengths = []
    for _ in range(3):
        writer.write(b"GET /arrow/ HTTP/1.1\r\nHost: gateway\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        lengths.append(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        await reader.readexactly(lengths[-1])
    writer.close()
    await collector.until(lambda: len(collector.named("GET index")) == 3)
    spans = collector.named("GET index")
    assert len({span.trace_id for span in spans}) == 3
    assert [span.attributes["http.response.body.size"] for span in spans] == lengths
    assert len(collector.named("index")) < 3  # it has been repeated at least once


async def test_two_requests_share_a_fill_and_the_second_is_linked_to_it(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    faulty.objects[WHEEL[1:]] = CONTENT
    go_on = asyncio.Event()
    faulty.then(held(go_on))
    gateway = await start_gateway(traced | CACHE)
    first = asyncio.create_task(get(gateway, WHEEL))
    await faulty.until(lambda: bool(faulty.requests))
    second = asyncio.create_task(get(gateway, WHEEL))
    await eventually(lambda: gateway.storage.stats()["fill_readers"] == 2)
    go_on.set()
    assert [(await task).body for task in (first, second)] == [CONTENT, CONTENT]
    await collector.until(lambda: len(collector.named("GET object")) == 2)
    fill = collector.one("fill")
    cached = {span.trace_id == fill.trace_id: span for span in collector.named("cache")}
    assert fill.parent_id == cached[True].span_id
    assert cached[True].links == set()  # its own fill is its child
    assert cached[False].links == {(fill.trace_id, fill.span_id)}
    assert [collector.tree(span)[1] for span in collector.named("GET object") if span.trace_id != fill.trace_id] == [
        ["index", ["cache"]]
    ]


async def test_two_pages_share_a_listing_and_the_second_is_linked_to_the_first(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    faulty.objects |= {"arrow/arrow-1.0.tar.gz": CONTENT, "bow/bow-1.0.tar.gz": CONTENT}
    go_on = asyncio.Event()
    faulty.then(held(go_on), times=3)
    gateway = await start_gateway(traced | {"index.compute_hashes": "false"})
    first = asyncio.create_task(get(gateway, "/arrow/"))
    await faulty.until(lambda: len(faulty.requests) == 2)  # the listings of the folder and of the root
    second = asyncio.create_task(get(gateway, "/bow/"))
    await faulty.until(lambda: len(faulty.requests) == 3)  # only that of the folder
    go_on.set()
    assert [(await task).status for task in (first, second)] == [200, 200]
    pages = [await server_span(collector, path) for path in ("/arrow/", "/bow/")]
    listings = {span.trace_id: span for span in collector.named("refresh listings")}
    of_first, of_second = [listings[page.trace_id] for page in pages]
    assert collector.one("refresh the root's listing").parent_id == of_first.span_id
    assert of_second.links == {(of_first.trace_id, of_first.span_id)}
    assert of_first.links == set()


async def test_an_upload(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(traced | {"publish.enabled": "true", "publish.allow_anonymous": "true"})
    faulty.requests.clear()
    status, _, _ = await upload(gateway.url, *sdist("acme", "1.0"))
    assert status == 200
    span = await server_span(collector, "/")
    assert span.name == "POST upload"
    [put] = [one for one in collector.named("PUT") if one.trace_id == span.trace_id]
    assert (put.parent_id, put.kind, put.attributes["http.response.status_code"]) == (span.span_id, "client", 200)
    sent = {request.headers["traceparent"].split("-")[1] for request in faulty.requests}
    assert sent == {span.trace_id}


async def test_an_outage(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    faulty.then(error(503, "SlowDown"), times=100)
    gateway = await start_gateway(traced | CACHE | {"storage.max_attempts": "1"})
    assert (await get(gateway, WHEEL)).status == 503
    span = await server_span(collector, WHEEL)
    assert collector.tree(span) == ["GET object", ["index", ["cache", ["fill", ["GET"]]]]]
    assert (span.failed, span.attributes["error.type"]) == (True, "503")
    assert span.attributes["gateway.error_code"] == "SlowDown"
    assert "SlowDown" in span.why
    found = {name: collector.one(name) for name in ("index", "cache", "fill", "GET")}
    assert {name: one.attributes.get("error.type") for name, one in found.items()} == {
        "index": "SlowDown",
        "cache": "SlowDown",
        "fill": "SlowDown",
        "GET": "503",
    }
    assert all(one.failed for one in found.values())


async def test_what_is_not_there_is_no_failure(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector
) -> None:
    gateway = await start_gateway(traced | CACHE)
    assert (await get(gateway, WHEEL)).status == 404
    span = await server_span(collector, WHEEL)
    assert span.attributes["http.response.status_code"] == 404
    assert {one.name for one in collector.spans} >= {"GET", "fill", "cache", "index"}
    assert not any(one.failed or "error.type" in one.attributes for one in collector.spans)


async def test_a_body_that_breaks_off_is_a_failure(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    async def breaks(answer: Answer) -> None:
        await answer.send(200, [("Content-Length", "5000000")], b"x" * 1000)
        answer.reset()

    faulty.then(breaks)
    gateway = await start_gateway(traced)
    assert len((await get(gateway, WHEEL)).body) < 5_000_000
    span = await server_span(collector, WHEEL)
    assert span.attributes["http.response.status_code"] == 200
    assert (span.failed, span.attributes["error.type"]) == (True, "aborted")


async def test_a_client_that_leaves_gets_no_status(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    faulty.then(held(asyncio.Event()))
    gateway = await start_gateway(traced | CACHE)
    asking = asyncio.create_task(get(gateway, WHEEL))
    await faulty.until(lambda: bool(faulty.requests))
    asking.cancel()
    span = await server_span(collector, WHEEL)
    assert "http.response.status_code" not in span.attributes
    assert span.attributes["error.type"] == "aborted"
    await collector.until(lambda: len(collector.named("GET")) == 1)
    assert collector.one("GET").attributes["error.type"] == "cancelled"


async def test_the_other_index_learns_of_the_trace_and_is_part_of_it(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector
) -> None:
    async with PublicIndex().running() as public:
        public.projects["theirs"] = {"theirs-1.0.tar.gz": b"theirs"}
        settings = {"fallback.mode": "cache", "fallback.base_url": public.url}
        gateway = await start_gateway(traced | settings)
        assert (await get(gateway, "/theirs/")).status == 200
        span = await server_span(collector, "/theirs/")
        [asked] = [one for one in collector.named("GET") if one.attributes["url.full"] == f"{public.url}theirs/"]
        assert public.headers[0]["traceparent"].split("-")[1:3] == [asked.trace_id, asked.span_id]
        refresh = collector.one("refresh pages of the other index")
        assert (asked.parent_id, refresh.parent_id) == (refresh.span_id, collector.one("index").span_id)
        assert asked.trace_id == span.trace_id


async def test_a_client_s_trace_is_gone_on_with(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    faulty.objects[WHEEL[1:]] = CONTENT
    gateway = await start_gateway(traced | CACHE | {"tracing.sample_ratio": "0"})
    await get(gateway, WHEEL, traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="congo=t61rcWkgMzE")
    span = await server_span(collector, WHEEL)
    assert (span.trace_id, span.parent_id, span.state) == (TRACE, SPAN, "congo=t61rcWkgMzE")
    [request] = faulty.requests
    assert request.headers["traceparent"] == f"00-{TRACE}-{collector.one('GET').span_id}-01"
    assert request.headers["tracestate"] == "congo=t61rcWkgMzE"


async def test_a_client_that_does_not_record_its_trace_has_it_passed_on_unrecorded(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    faulty.objects |= {WHEEL[1:]: CONTENT, "other": b"other"}
    gateway = await start_gateway(traced | CACHE)
    await get(gateway, WHEEL, traceparent=f"00-{TRACE}-{SPAN}-00")
    await get(gateway, "/other")
    await server_span(collector, "/other")
    assert faulty.requests[0].headers["traceparent"] == f"00-{TRACE}-{SPAN}-00"
    assert TRACE not in {span.trace_id for span in collector.spans}


async def test_a_trace_that_is_not_recorded_is_known_to_the_storage_as_such(
    start_gateway: StartGateway, traced: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(traced | {"tracing.sample_ratio": "0"})
    await get(gateway, WHEEL)
    assert all(int(request.headers["traceparent"][-2:]) & 1 == 0 for request in faulty.requests)


async def test_a_traceparent_that_breaks_the_rules_is_ignored(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    faulty.objects[WHEEL[1:]] = CONTENT
    gateway = await start_gateway(traced)
    await get(gateway, WHEEL, traceparent=f"00-{'0' * 32}-{SPAN}-01", tracestate="congo=t61rcWkgMzE")
    span = await server_span(collector, WHEEL)
    assert (span.parent_id, span.state) == ("", "")
    assert "tracestate" not in faulty.requests[0].headers
    assert faulty.requests[0].headers["traceparent"].split("-")[1] == span.trace_id


async def test_while_traces_are_off_a_client_s_is_passed_on_as_it_came(
    start_gateway: StartGateway, faulty_settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.accept("AKIDFAULTY", "the-secret-of-faulty")  # the signature holds with these headers, which it leaves out
    faulty.objects[WHEEL[1:]] = CONTENT
    async with PublicIndex().running() as public:
        public.projects["theirs"] = {"theirs-1.0.tar.gz": b"theirs"}
        settings = {"fallback.mode": "cache", "fallback.base_url": public.url}
        gateway = await start_gateway(faulty_settings | settings)
        given = {"Traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "congo=t61rcWkgMzE"}
        assert (await get(gateway, WHEEL, **given)).status == 200
        assert (await get(gateway, "/theirs/", **given)).status == 200
        for headers in (faulty.requests[0].headers, public.headers[0]):
            assert headers["traceparent"] == f"00-{TRACE}-{SPAN}-01"
            assert headers["tracestate"] == "congo=t61rcWkgMzE"


async def test_while_traces_are_off_nothing_is_added(
    start_gateway: StartGateway, faulty_settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects[WHEEL[1:]] = CONTENT
    gateway = await start_gateway(faulty_settings)
    for headers in ({}, {"traceparent": "rubbish"}, {"tracestate": "congo=t61rcWkgMzE"}):
        answer = await get(gateway, WHEEL, **headers)
        assert answer.status == 200
        assert not {"traceparent", "tracestate"} & answer.headers.keys()
    assert len(faulty.requests) == 3
    assert not any({"traceparent", "tracestate"} & request.headers.keys() for request in faulty.requests)


async def test_a_redirect_does_not_tell_the_client_of_the_trace(
    start_gateway: StartGateway, traced: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects[WHEEL[1:]] = CONTENT
    gateway = await start_gateway(traced | {"storage.redirect_urls": "true"})
    answer = await get(gateway, WHEEL, traceparent=f"00-{TRACE}-{SPAN}-01")
    assert answer.status == 302
    assert TRACE.encode() not in answer.head


async def test_health_and_metrics_are_not_traced(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector
) -> None:
    gateway = await start_gateway(traced | {"ops.path_prefix": "/-"})
    for path in ("/-/health", "/-/ready", "/-/metrics", "/health"):
        await get(gateway, path)
    await server_span(collector, "/health")  # an object here
    assert {span.attributes["url.path"] for span in collector.spans if span.kind == "server"} == {"/health"}


async def test_mounts_are_told_apart(traced: dict[str, str], collector: Collector, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("mounts: [{name: team-b, path: /team-b, storage: {bucket: team-b}}]")
    gateway = Gateway(load(traced | {"server.port": "0", "log.access": "false"}, config_file=file, environ={}))
    await gateway.start()
    try:
        await get(gateway, "/team-b/x")
        await get(gateway, "/x")
        assert (await server_span(collector, "/team-b/x")).attributes["gateway.mount"] == "team-b"
        assert (await server_span(collector, "/x")).attributes["gateway.mount"] == "default"
    finally:
        await gateway.stop()


async def test_a_reply_to_a_request_with_a_traceparent_is_not_repeated(
    start_gateway: StartGateway, traced: dict[str, str], collector: Collector, faulty: FaultyBucket
) -> None:
    """Each has a trace of its own: there is nothing to repeat, and the memory is for those that are."""
    faulty.objects["arrow/arrow-1.0.tar.gz"] = CONTENT
    gateway = await start_gateway(traced | CACHE)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    for _ in range(3):
        writer.write(f"GET /arrow/ HTTP/1.1\r\nHost: gateway\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    writer.close()
    await collector.until(lambda: len(collector.named("index")) == 3)
    assert {span.trace_id for span in collector.spans} == {TRACE}
