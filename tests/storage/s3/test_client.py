"""What SignedClient does besides healing, which test_s3.py has: what it signs, and what it must not send twice."""

from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from hashlib import md5

import pytest

from gateway.errors import GatewayError, UpstreamError
from gateway.messages import Credentials, Endpoint
from gateway.storage.s3 import client as signed_module
from gateway.storage.s3.client import Request, SignedClient, SignedQuery
from gateway.storage.s3.signing.credentials import CredentialSource
from gateway.storage.s3.signing.scheme import Scheme, SigV4
from gateway.upstream.client import Client
from gateway.upstream.connector import Connector
from tests.support import faults
from tests.support.faults import Answer, FaultyBucket, error, healthy


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client(Connector(connect_timeout=5, read_timeout=5), max_connections=10)
    yield client
    await client.close()


def signed(
    client: Client, faulty: FaultyBucket, scheme: Scheme | None = None, expires_at: float | None = None
) -> SignedClient:
    return SignedClient(
        client,
        Endpoint("http", f"127.0.0.1:{faulty.port}", f"/{faults.BUCKET}", "us-east-1"),
        scheme=scheme,
        credentials=CredentialSource(lambda: Credentials("AKIDFAULTY", "the-secret-of-faulty", expires_at=expires_at)),
        relocate=None,
        max_attempts=3,
        on_fault=lambda label: None,
    )


async def test_headers_that_must_be_signed_are(client: Client, faulty: FaultyBucket) -> None:
    faulty.accept("AKIDFAULTY", "the-secret-of-faulty")
    request = Request("PUT", "/k", headers={"if-none-match": "*"}, signed_headers={"x-amz-acl": "private"}, body=b"x")
    await signed(client, faulty, SigV4()).perform(request)
    [seen] = faulty.requests
    names = seen.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-acl", "x-amz-content-sha256"} <= set(names)
    assert "if-none-match" not in names
    assert faulty.objects == {"k": b"x"}


async def test_without_a_scheme_nothing_is_signed_and_no_credentials_are_asked_for(
    client: Client, faulty: FaultyBucket
) -> None:
    faulty.objects["k"] = b"x"
    unsigned = signed(client, faulty)
    (await unsigned.send("GET", "/k")).upstream.close()
    assert set(faulty.requests[0].headers) == {"host", "user-agent"}
    assert await unsigned.presign("GET", "/k", 60) == SignedQuery("", float("inf"))
    assert unsigned.access_key() == ""


async def test_it_is_proven_by_a_good_answer_only(client: Client, faulty: FaultyBucket) -> None:
    faulty.objects["k"] = b"x"
    each = signed(client, faulty, SigV4())
    with pytest.raises(GatewayError):
        await each.send("GET", "/nope")
    assert not each.proven
    (await each.send("GET", "/k")).upstream.close()
    assert each.proven


@pytest.mark.parametrize(("repeatable", "sent"), [(True, 3), (False, 1)])
async def test_what_must_not_happen_twice_is_sent_once(
    client: Client, faulty: FaultyBucket, repeatable: bool, sent: int
) -> None:
    faulty.then(faults.reset, times=3)
    with pytest.raises(UpstreamError):
        await signed(client, faulty, SigV4()).perform(Request("PUT", "/k", body=b"x", repeatable=repeatable))
    assert len(faulty.requests) == sent


async def test_what_must_not_happen_twice_takes_no_connection_that_may_be_closing(
    client: Client, faulty: FaultyBucket
) -> None:
    each = signed(client, faulty, SigV4())
    await each.perform(Request("PUT", "/k", body=b"x"))
    await each.perform(Request("PUT", "/k", body=b"x"))
    await each.perform(Request("PUT", "/k", body=b"x", repeatable=False))
    assert [request.connection for request in faulty.requests] == [1, 1, 2]


LOCKED = "<Message>Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests</Message>"


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_bucket_that_demands_digests_gets_them_from_then_on(
    client: Client, faulty: FaultyBucket, repeatable: bool
) -> None:
    """As one does whose objects are locked by themselves (Object Lock)."""
    faulty.accept("AKIDFAULTY", "the-secret-of-faulty")
    refusal = error(400, "InvalidRequest", body=f"<Error><Code>InvalidRequest</Code>{LOCKED}</Error>".encode())

    async def locked(answer: Answer) -> None:
        given = answer.request.headers.get("content-md5")
        await (healthy if given == b64encode(md5(answer.request.body).digest()).decode() else refusal)(answer)

    faulty.then(locked, times=3)
    storage, contents = signed(client, faulty, SigV4()), {"k": b"x" * 300_000, "l": b""}
    for key, content in contents.items():
        await storage.perform(Request("PUT", f"/{key}", body=content, repeatable=repeatable))
    assert faulty.objects == contents
    assert ["content-md5" in request.headers for request in faulty.requests] == [False, True, True]
    assert "content-md5" in faulty.requests[-1].headers["authorization"]
    faulty.then(refusal)
    with pytest.raises(UpstreamError, match="InvalidRequest"):
        await storage.perform(Request("PUT", "/k", repeatable=repeatable))
    await storage.send("GET", "/l")
    await storage.perform(
        Request("PUT", "/m", signed_headers={"x-amz-copy-source": f"/{faults.BUCKET}/l", "content-type": "x"})
    )
    for request in faulty.requests[-2:]:
        assert "content-md5" not in request.headers


async def test_a_refusal_that_nothing_heals_is_raised(client: Client, faulty: FaultyBucket) -> None:
    faulty.then(error(301, "PermanentRedirect", headers=[("x-amz-bucket-region", "eu-west-1")]))
    with pytest.raises(UpstreamError):
        await signed(client, faulty).send("GET", "/k")


async def test_an_outage_that_comes_and_goes_multiplies_requests_by_no_more_than_a_fifth(
    client: Client, faulty: FaultyBucket
) -> None:
    """Answers in between keep the circuit closed: the budget is all that bounds the retries."""
    faulty.objects["k"] = b"x"
    faulty.then(*[error(503, "SlowDown")] * 3, faults.healthy, times=1000)
    each, codes = signed(client, faulty), Counter[str | None]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signed_module, "_FIRST_PAUSE_SECONDS", 0.0)
        for _ in range(200):
            try:
                (await each.send("GET", "/k")).upstream.close()
            except GatewayError as refused:
                codes[refused.code] += 1
    assert codes.keys() == {"SlowDown"}, "none is the circuit breaker's"
    assert codes["SlowDown"] > 100
    assert len(faulty.requests) <= 1.2 * 200 + 10


async def test_a_request_is_not_sent_again_once_its_time_is_up(
    client: Client, faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_module, "_RETRY_SECONDS", 0.0)
    faulty.then(faults.reset)
    with pytest.raises(UpstreamError):
        await signed(client, faulty).send("GET", "/k")
    assert len(faulty.requests) == 1
