"""What is part of no client's trace, and who learns of none."""

import asyncio

from gateway.index.prefetch import Prefetch
from gateway.messages import Answer, BufferedResponse, ObjectRequest, PageRequest
from gateway.tracing.context import TraceContext
from gateway.tracing.span import Span, current, headers
from gateway.upstream.address_policy import AddressPolicy
from gateway.upstream.client import Client
from gateway.upstream.connector import Connector
from tests.access.test_gate import basic
from tests.support.eventually import eventually
from tests.support.faults import BUCKET, FaultyBucket
from tests.support.reloadable import TOKEN, Reloadable

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PEOPLE = {"authenticators": ["tests.support.people:People"], "admins": ["alice"]}


class Anywhere(AddressPolicy):
    """What is on loopback counts as public."""

    def permits(self, address: str) -> bool:
        return True


def span(number: int = 1) -> Span:
    return Span(TraceContext(f"{number:032x}", SPAN, 1))


async def test_what_a_reload_starts_is_not_part_of_its_trace(reloadable: Reloadable, faulty: FaultyBucket) -> None:
    """It goes on for ever."""
    storage = {
        "bucket": BUCKET,
        "endpoint_url": faulty.url,
        "addressing_style": "path",
        "region_name": "us-east-1",
        "aws_access_key_id": "AKIDFAULTY",
        "aws_secret_access_key": "the-secret-of-faulty",
    }

    def write(seconds: float) -> None:
        reloadable.write(storage=storage, access=PEOPLE, log={"audit_objects": True, "audit_interval": seconds})

    write(3600)
    await reloadable.start()
    write(0.05)
    asked = {"Authorization": f"Bearer {TOKEN}", "traceparent": f"00-{TRACE}-{SPAN}-01"}
    async with reloadable.http.post(f"{reloadable.gateway.url}/-/reload", headers=asked) as answer:
        assert answer.status == 200
    await reloadable.get("/acme/", **basic("alice"))
    await eventually(lambda: any(request.method == "PUT" for request in faulty.requests))
    assert [request.key for request in faulty.requests if TRACE in request.headers.get("traceparent", "")] == []


async def test_only_servers_that_the_settings_name_learn_of_a_trace(faulty: FaultyBucket) -> None:
    """Other ones, to which these lead, may be anybody's."""
    faulty.objects["k"] = b"content"
    policy = Anywhere(f"http://localhost:{faulty.port}/simple/", [])
    client = Client(Connector(connect_timeout=5, read_timeout=5, policy=policy), max_connections=10, tells_trace=True)
    current.set(span())
    for host in ("localhost", "127.0.0.1"):
        answer = await client.send("GET", "http", f"{host}:{faulty.port}", f"/{BUCKET}/k", {})
        answer.close()
    await client.close()
    assert ["traceparent" in request.headers for request in faulty.requests] == [True, False]


async def test_what_is_fetched_ahead_is_part_of_the_trace_that_it_follows() -> None:
    """Not of the one that has made room for it."""
    traces: dict[str, str] = {}
    go_on = asyncio.Event()

    async def answered(request: PageRequest | ObjectRequest) -> Answer:
        traces[request.key] = headers()["traceparent"]
        await go_on.wait()
        return BufferedResponse(404, b"")

    prefetch = Prefetch(answered, answered, answered, max_bytes=1000, clients=lambda: 1)
    for number in range(1, 13):
        current.set(span(number))
        prefetch.after_file(f"{number}.whl.metadata")
    go_on.set()
    await eventually(lambda: len(traces) == 12)
    assert traces == {f"{number}.whl": span(number).context.headers["traceparent"] for number in range(1, 13)}  # type: ignore[union-attr]
    await prefetch.close()
