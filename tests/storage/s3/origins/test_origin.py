"""The bucket as an origin. CloudFront's is in test_cloudfront.py."""

from gateway.cache.lru import MemoryLimit
from gateway.config.load import load
from gateway.messages import Caller, Credentials, Endpoint
from gateway.storage.s3.clients import reach
from gateway.storage.s3.endpoint import resolve
from gateway.storage.s3.origins.origin import BucketOrigin
from gateway.storage.s3.signing.credentials import CredentialSource
from tests.support.faults import FaultyBucket


def origin(faulty_settings: dict[str, str], key: str = "AKID", **changes: str) -> BucketOrigin:
    settings = load(faulty_settings | {f"storage.{name}": value for name, value in changes.items()}, environ={}).storage

    async def relocate(region: str) -> Endpoint:
        raise AssertionError(region)

    found = reach(
        settings,
        resolve(settings),
        CredentialSource(lambda: Credentials(key, "secret")),
        None,
        MemoryLimit(10**6),
        relocate=relocate,
        on_fault=lambda label: None,
    )
    assert isinstance(found.origin, BucketOrigin)
    return found.origin


async def test_a_url_is_the_endpoint_s_and_what_opens_it_is_apart(
    faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    signed = origin(faulty_settings)
    assert signed.url("/a%20b") == f"{faulty.url}/teams-bucket/a%20b"
    grant = await signed.grant("GET", "/a%20b", None, 60)
    assert "X-Amz-Expires=60&" in grant.query
    public = origin(faulty_settings, public_url="true")
    assert (await public.grant("GET", "/a%20b", None, 60)).query == ""


async def test_everyone_gets_the_same_url_but_other_credentials_another(faulty_settings: dict[str, str]) -> None:
    first, second = origin(faulty_settings), origin(faulty_settings, key="AKIDOTHER")
    for each in (first, second):
        await each.grant("GET", "/k", None, 60)  # the credentials are here now
    assert first.serves(Caller("2001:db8::1"))
    assert first.variant(Caller("192.0.2.1")) == first.variant(None)
    assert first.variant(None) != second.variant(None)
