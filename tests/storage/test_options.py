"""Every storage option, by what it changes on the wire. Those with a file of their own: proxies and certificates in
test_connector.py, writes in test_upload.py, delivery in test_delivery.py, CloudFront in test_cloudfront.py."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.storage.s3.storage import S3Storage
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.bucket import Bucket
from tests.support.faults import FaultyBucket, Request, error
from tests.support.http import RawAnswer, fetch
from tests.support.layers import layer

Get = Callable[..., Awaitable[tuple[RawAnswer, Request]]]


@pytest.fixture
def get(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Get:
    """Fetches /arrow/a.whl through a gateway with these storage settings; returns answer and what the bucket saw."""

    async def get(**changes: object) -> tuple[RawAnswer, Request]:
        settings = faulty_settings | {f"storage.{name}": str(value) for name, value in changes.items()}
        gateway = await start_gateway({name: value for name, value in settings.items() if value != "None"})
        answer = await fetch(int(gateway.url.rpartition(":")[2]), "/arrow/a.whl")
        return answer, next(request for request in faulty.requests if "list-type" not in request.target)

    return get


async def test_prefix(get: Get) -> None:
    _, request = await get(prefix="pypi/eu")
    assert request.path == "/teams-bucket/pypi/eu/arrow/a.whl"


async def test_prepend_hash(get: Get, faulty: FaultyBucket, start_gateway: StartGateway) -> None:
    digest = hashlib.md5(b"a.whl").hexdigest()[:4]
    faulty.objects[f"pypi/{digest}/arrow/a.whl"] = b"content"
    faulty.objects["pypi/arrow/index.html"] = b"<a>"
    answer, request = await get(prefix="pypi", prepend_hash="true")
    assert (answer.body, request.path) == (b"content", f"/teams-bucket/pypi/{digest}/arrow/a.whl")


async def test_prepend_hash_lists_and_writes_by_key(
    faulty: FaultyBucket, faulty_settings: dict[str, str], start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(faulty_settings | {"storage.prepend_hash": "true"})
    port = int(gateway.url.rpartition(":")[2])
    storage = gateway.storage

    async def one() -> AsyncIterator[bytes]:
        yield b"content"

    await storage.put("arrow/a.whl", one())
    await storage.put("arrow/index.html", one())
    await storage.put("other/b.whl", one())
    assert f"{hashlib.md5(b'a.whl').hexdigest()[:4]}/arrow/a.whl" in faulty.objects
    assert {item.key async for item in storage.list()} == {"arrow/a.whl", "arrow/index.html", "other/b.whl"}
    assert {item.key async for item in storage.list("arrow/")} == {"arrow/a.whl", "arrow/index.html"}
    assert len([item async for item in storage.list("arrow/", limit=1)]) == 1
    assert (await fetch(port, "/arrow/")).body == b"content"
    assert (await fetch(port, "/arrow")).status == 301
    await storage.delete("arrow/a.whl")
    assert {item.key async for item in storage.list("arrow/")} == {"arrow/index.html"}


async def test_region_name(get: Get) -> None:
    _, request = await get(region_name="ap-southeast-2")
    assert "/ap-southeast-2/s3/aws4_request" in request.headers["authorization"]


async def test_static_and_session_credentials(get: Get) -> None:
    _, request = await get(aws_access_key_id="AKIDSTATIC", aws_secret_access_key="s", aws_session_token="the-token")
    assert "Credential=AKIDSTATIC/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == "the-token"


async def test_signature_version_s3(get: Get) -> None:
    _, request = await get(signature_version="s3")
    assert request.headers["authorization"].startswith("AWS AKIDFAULTY:")
    assert {"date", "authorization"} <= set(request.headers)
    assert "x-amz-content-sha256" not in request.headers


async def test_signature_version_unsigned_needs_no_credentials(get: Get) -> None:
    answer, request = await get(signature_version="unsigned", aws_access_key_id=None, aws_secret_access_key=None)
    assert answer.status == 404
    assert set(request.headers) == {"host", "user-agent"}


async def test_unsigned_is_ready_without_credentials(
    faulty: FaultyBucket, faulty_settings: dict[str, str], start_gateway: StartGateway
) -> None:
    settings = {name: value for name, value in faulty_settings.items() if "aws_" not in name}
    gateway = await start_gateway(settings | {"storage.signature_version": "unsigned"})
    ready = await fetch(int(gateway.url.rpartition(":")[2]), "/ready")
    assert (ready.status, b"unsigned" in ready.body) == (200, True)


async def test_signature_version_s3_is_taken_by_a_real_server(bucket: Bucket, start_gateway: StartGateway) -> None:
    bucket.put("a b/ключ+.whl", b"content")
    gateway = await start_gateway(bucket.settings(storage__signature_version="s3"))
    port = int(gateway.url.rpartition(":")[2])
    assert (await fetch(port, "/a%20b/%D0%BA%D0%BB%D1%8E%D1%87+.whl")).body == b"content"
    assert (await fetch(port, "/a%20b")).status == 301
    wrong = bucket.settings(storage__signature_version="s3", storage__aws_secret_access_key="wrong")
    gateway = await start_gateway(wrong)
    assert (await fetch(int(gateway.url.rpartition(":")[2]), "/a%20b/x")).status == 502


async def test_user_agent_extra(get: Get) -> None:
    _, request = await get(user_agent_extra="team-7/1.0 (index)")
    assert request.headers["user-agent"].endswith(" team-7/1.0 (index)")


@pytest.mark.parametrize(
    ("style", "path"), [("path", "/teams-bucket/arrow/a.whl"), ("auto", "/teams-bucket/arrow/a.whl")]
)
async def test_addressing_style_on_an_address(get: Get, style: str, path: str) -> None:
    _, request = await get(addressing_style=style)
    assert request.path == path


async def test_addressing_style_virtual_and_endpoint_url(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    # *.localhost is loopback (RFC 6761)
    changes = {"storage.addressing_style": "virtual", "storage.endpoint_url": f"http://localhost:{faulty.port}"}
    gateway = await start_gateway(faulty_settings | changes)
    storage = layer(gateway.storage, S3Storage)
    assert storage.endpoint.host == f"teams-bucket.localhost:{faulty.port}"
    url = await storage.url("arrow/a.whl")
    assert url is not None
    assert url.startswith(f"http://teams-bucket.localhost:{faulty.port}/arrow/a.whl?")


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        ({"use_accelerate_endpoint": "true"}, "https://teams-bucket.s3-accelerate.amazonaws.com/"),
        ({"use_dualstack_endpoint": "true"}, "https://teams-bucket.s3.dualstack.eu-west-1.amazonaws.com/"),
        ({"use_fips_endpoint": "true", "region_name": "us-east-2"}, "https://teams-bucket.s3-fips.us-east-2."),
        ({"addressing_style": "path"}, "https://s3.eu-west-1.amazonaws.com/teams-bucket/"),
        ({"region_name": "cn-north-1"}, "https://teams-bucket.s3.cn-north-1.amazonaws.com.cn/"),
    ],
)
async def test_endpoints_of_aws_are_in_the_urls_that_clients_get(
    start_gateway: StartGateway, faulty_settings: dict[str, str], changes: dict[str, str], host: str
) -> None:
    del faulty_settings["storage.endpoint_url"], faulty_settings["storage.addressing_style"]
    settings = {"region_name": "eu-west-1"} | changes
    gateway = await start_gateway(faulty_settings | {f"storage.{name}": value for name, value in settings.items()})
    url = await gateway.storage.url("arrow/a.whl")
    assert url is not None
    assert url.startswith(f"{host}")
    assert "arrow/a.whl?X-Amz-Algorithm" in url


async def test_connect_timeout(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # Who is never accepted fills the backlog; the next is left waiting.
        address = full.getsockname()
        with socket.create_connection(address):
            changes = {"endpoint_url": f"http://127.0.0.1:{address[1]}", "connect_timeout": "0.2", "max_attempts": "1"}
            gateway = await start_gateway(
                faulty_settings | {f"storage.{name}": value for name, value in changes.items()}
            )
            answer = await fetch(int(gateway.url.rpartition(":")[2]), "/k")
    assert answer.status == 504


async def test_read_timeout(get: Get, faulty: FaultyBucket) -> None:
    faulty.then(faults.stall)
    answer, _ = await get(read_timeout="0.2", max_attempts="1")
    assert answer.status == 504


async def test_max_pool_connections(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects["k"] = bytes(100_000)
    gateway = await start_gateway(faulty_settings | {"storage.max_pool_connections": "2"})
    port = int(gateway.url.rpartition(":")[2])
    answers = await asyncio.gather(*(fetch(port, "/k") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert {request.connection for request in faulty.requests} == {1, 2}


async def test_a_bucket_is_created_only_when_that_is_wanted(bucket: Bucket, start_gateway: StartGateway) -> None:
    name = f"{bucket.name}-new"
    absent = bucket.settings(storage__bucket=name)
    gateway = await start_gateway(absent)
    ready = await fetch(int(gateway.url.rpartition(":")[2]), "/ready")
    assert (ready.status, b"NoSuchBucket" in ready.body) == (503, True)
    with pytest.raises(bucket.client.exceptions.ClientError):
        bucket.client.head_bucket(Bucket=name)
    for _ in range(2):  # the second finds it
        gateway = await start_gateway(absent | {"storage.create_bucket": "true"})
        ready = await fetch(int(gateway.url.rpartition(":")[2]), "/ready")
        assert ready.status == 200
    bucket.client.head_bucket(Bucket=name)


@pytest.mark.parametrize(("region", "named"), [("us-east-1", False), ("eu-west-1", True)])
async def test_a_bucket_is_created_in_its_region(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], region: str, named: bool
) -> None:
    faulty.then(error(404, "NoSuchBucket"))
    await start_gateway(faulty_settings | {"storage.create_bucket": "true", "storage.region_name": region})
    created = faulty.requests[-1]
    assert (created.method, created.target) == ("PUT", "/teams-bucket")
    assert (f"<LocationConstraint>{region}<".encode() in created.body) == named


async def test_the_answer_to_the_creation_of_a_bucket_keeps_no_connection(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.then(error(404, "NoSuchBucket"), faults.serving(b"x" * 300_000, []))
    gateway = await start_gateway(faulty_settings | {"storage.create_bucket": "true"})
    assert gateway.storage.stats()["connections_busy"] == 0


async def test_a_bucket_that_can_t_be_created_is_logged_and_not_ready(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    faulty.then(error(404, "NoSuchBucket"), error(403, "AccessDenied"), error(404, "NoSuchBucket"))
    gateway = await start_gateway(faulty_settings | {"storage.create_bucket": "true"})
    assert "can't be created" in caplog.text
    assert (await fetch(int(gateway.url.rpartition(":")[2]), "/ready")).status == 503


async def test_the_url_of_a_learnt_region_is_signed_for_it(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.accept(*faults.SECRETS[:2])
    faulty.objects["k"] = b"x"
    gateway = await start_gateway(
        faulty_settings | {"storage.redirect_urls": "true", "storage.region_name": "eu-west-1"}
    )
    answer = await fetch(int(gateway.url.rpartition(":")[2]), "/k")
    assert "%2Fus-east-1%2Fs3%2Faws4_request" in answer.headers["location"]


async def test_what_breaks_while_looking_is_no_redirect(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.then(error(500, "InternalError"), times=5)
    settings = {"storage.redirect_urls": "true", "storage.max_attempts": "1"}
    gateway = await start_gateway(faulty_settings | settings)
    assert (await fetch(int(gateway.url.rpartition(":")[2]), "/k")).status == 503
