"""CloudFront as the origin: what is signed for whom, and what the settings may be."""

import asyncio
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.app import Gateway
from gateway.config.load import load
from gateway.errors import ConfigError
from gateway.storage.content import content_at
from gateway.storage.s3.origins.cloudfront import signer
from gateway.storage.s3.signing.cloudfront_signer import CloudFrontSigner, load_key
from tests.conftest import StartGateway
from tests.support.bucket import Bucket
from tests.support.cloudfront import Distribution, PublicKey, check
from tests.support.faults import FaultyBucket
from tests.support.http import RawAnswer, fetch

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
TRUSTED: dict[str, PublicKey] = {"KEYID": RSA.public_key(), "ECID": EC.public_key()}


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form).decode()


@pytest.fixture
def settings(bucket: Bucket) -> dict[str, str]:
    """Without the distribution's domain."""
    for key in ("arrow/a.whl", "arrow/b.whl", "other/c.whl", "top.whl", "arrow/index.html"):
        bucket.put(key, key.encode())
    return bucket.settings() | {
        "storage.backend": "cloudfront",
        "storage.cloud_front_key_id": "KEYID",
        "storage.cloud_front_key_string": pem(RSA),
    }


async def get(gateway: Gateway, target: str, **headers: str) -> RawAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await fetch(int(gateway.url.rpartition(":")[2]), target, headers=named)


async def test_streaming_goes_through_the_distribution(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str]
) -> None:
    with Distribution(bucket, TRUSTED) as distribution:
        gateway = await start_gateway(settings | {"storage.cloud_front_domain": distribution.domain})
        whole = await get(gateway, "/arrow/a.whl")
        assert (whole.status, whole.body) == (200, b"arrow/a.whl")
        assert (await get(gateway, "/arrow/a.whl", Range="bytes=0-4")).body == b"arrow"
        assert (await get(gateway, "/arrow/")).body == b"arrow/index.html"
        assert (await get(gateway, "/arrow")).status == 301
        assert (await get(gateway, "/nope.whl")).status == 404
        assert (await get(gateway, "/ready")).status == 200
        signatures = {path.partition("?")[2] for _, path in distribution.requests if path.startswith("/arrow/a.whl?")}
        assert len(signatures) == 1, "signed once"


async def test_what_must_be_known_now_comes_from_the_bucket(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str]
) -> None:
    """A distribution goes on for a day to give out what it has: which tokens are revoked, which files were deleted."""
    with Distribution(bucket, TRUSTED) as distribution:
        gateway = await start_gateway(settings | {"storage.cloud_front_domain": distribution.domain})
        assert await content_at(gateway.storage, "arrow/a.whl", 100) == b"arrow/a.whl"
        assert await content_at(gateway.storage, "arrow/nope.whl", 100) is None
        assert distribution.requests == []


async def test_redirects_lead_to_the_distribution(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str]
) -> None:
    with Distribution(bucket, TRUSTED) as distribution:
        changes = {"storage.cloud_front_domain": distribution.domain, "storage.redirect_urls": "true"}
        gateway = await start_gateway(settings | changes)
        answer = await get(gateway, "/arrow/a.whl")
        assert answer.status == 302
        location = answer.headers["location"]
        assert location.startswith(f"{distribution.domain}/arrow/a.whl?Expires=")
        assert "Policy=" not in location
        await asyncio.to_thread(check, location, TRUSTED, source="127.0.0.1", now=time.time())
        assert (await get(gateway, "/arrow/a.whl")).headers["location"] == location
        assert (await get(gateway, "/arrow/")).status == 200
        assert (await get(gateway, "/nope.whl")).status == 404


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"storage.cloud_front_hash_algorithm": "SHA256"}, "Hash-Algorithm=SHA256"),
        ({"storage.cloud_front_key_id": "ECID", "storage.cloud_front_key_string": pem(EC)}, "Key-Pair-Id=ECID"),
        ({"storage.cloud_front_key_string": pem(RSA).replace("\n", "\\n")}, "Key-Pair-Id=KEYID"),
        ({"storage.expire_after": "1000000"}, "Expires="),
    ],
)
async def test_every_kind_of_signature_is_taken(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str], changes: dict[str, str], said: str
) -> None:
    with Distribution(bucket, TRUSTED) as distribution:
        changes = {"storage.cloud_front_domain": distribution.domain, "storage.redirect_urls": "true"} | changes
        gateway = await start_gateway(settings | changes)
        location = (await get(gateway, "/arrow/a.whl")).headers["location"]
        assert said in location
        check(location, TRUSTED, source="127.0.0.1", now=time.time())


async def test_one_signature_for_a_project_and_none_for_all(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str]
) -> None:
    with Distribution(bucket, TRUSTED) as distribution:
        changes = {"storage.redirect_urls": "true", "storage.cloud_front_wildcard": "true"}
        gateway = await start_gateway(settings | changes | {"storage.cloud_front_domain": distribution.domain})
        locations = [
            (await get(gateway, target)).headers["location"]
            for target in ("/arrow/a.whl", "/arrow/b.whl", "/other/c.whl", "/top.whl")
        ]
        queries = [location.partition("?")[2] for location in locations]
        assert queries[0] == queries[1]
        assert len(set(queries)) == 3
        assert "Policy=" not in queries[3], "the bucket as a whole is no project"
        for location in locations:
            check(location, TRUSTED, source="127.0.0.1", now=time.time())


async def test_below_a_prefix_the_prefix_is_no_project(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str]
) -> None:
    bucket.put("pypi/top.whl", b"x")
    bucket.put("pypi/arrow/a.whl", b"x")
    with Distribution(bucket, TRUSTED) as distribution:
        changes = {"storage.redirect_urls": "true", "storage.cloud_front_wildcard": "true", "storage.prefix": "pypi"}
        gateway = await start_gateway(settings | changes | {"storage.cloud_front_domain": distribution.domain})
        assert "Policy=" not in (await get(gateway, "/top.whl")).headers["location"]
        assert "Policy=" in (await get(gateway, "/arrow/a.whl")).headers["location"]


async def test_urls_are_bound_to_who_asked(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str]
) -> None:
    with Distribution(bucket, TRUSTED) as distribution:
        changes = {
            "storage.redirect_urls": "true",
            "storage.cloud_front_ip_range": "true",
            "storage.cloud_front_domain": distribution.domain,
            "server.trusted_proxies": "127.0.0.1/32",
        }
        gateway = await start_gateway(settings | changes)
        locations = {}
        for address in ("192.0.2.1", "192.0.2.2", "::ffff:192.0.2.3"):
            answer = await get(gateway, "/arrow/a.whl", X_Forwarded_For=address)
            locations[address.rpartition(":")[2]] = answer.headers["location"]
        assert len(set(locations.values())) == 3
        for address, location in locations.items():
            check(location, TRUSTED, source=address, now=time.time())
            with pytest.raises(Exception, match="AccessDenied"):
                check(location, TRUSTED, source="192.0.2.9", now=time.time())
        # Policies know no IPv6: such a caller is served by the gateway, which is bound to nothing.
        ipv6 = await get(gateway, "/arrow/a.whl", X_Forwarded_For="2001:db8::1")
        assert (ipv6.status, ipv6.body) == (200, b"arrow/a.whl")


async def test_a_url_that_is_bound_to_an_address_is_given_to_no_other(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str]
) -> None:
    """Whose requests are the same byte for byte."""
    with Distribution(bucket, TRUSTED) as distribution:
        changes = {"storage.redirect_urls": "true", "storage.cloud_front_ip_range": "true"}
        domain = {"storage.cloud_front_domain": distribution.domain}
        gateway = await start_gateway(settings | changes | domain | {"cache.memory_bytes": "10000000"})
        for address in ("127.0.0.1", "127.0.0.2") * 2:
            head = await redirect_of(gateway, address)
            location = head.partition("Location: ")[2].partition("\r\n")[0]
            check(location, TRUSTED, source=address, now=time.time())


async def redirect_of(gateway: Gateway, address: str) -> str:
    """The head that a client of that address gets."""
    port = int(gateway.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    writer.write(b"GET /arrow/a.whl HTTP/1.1\r\nHost: h\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    await writer.wait_closed()
    return head


async def test_urls_are_bound_to_a_network(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str]
) -> None:
    with Distribution(bucket, TRUSTED) as distribution:
        changes = {"storage.redirect_urls": "true", "storage.cloud_front_ip_range": "192.0.2.0/24"}
        gateway = await start_gateway(settings | changes | {"storage.cloud_front_domain": distribution.domain})
        location = (await get(gateway, "/arrow/a.whl")).headers["location"]
        check(location, TRUSTED, source="192.0.2.9", now=time.time())
        with pytest.raises(Exception, match="AccessDenied"):
            check(location, TRUSTED, source="127.0.0.1", now=time.time())


async def test_without_a_key_id_urls_are_unsigned(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str]
) -> None:
    del settings["storage.cloud_front_key_id"]
    with Distribution(bucket) as distribution:
        settings["storage.cloud_front_domain"] = distribution.domain
        streaming = await start_gateway(settings)
        assert (await get(streaming, "/arrow/a.whl")).body == b"arrow/a.whl"
        redirecting = await start_gateway(settings | {"storage.redirect_urls": "true"})
        assert (await get(redirecting, "/arrow/a.whl")).headers["location"] == f"{distribution.domain}/arrow/a.whl"


async def test_a_key_that_the_distribution_does_not_know_is_a_502_and_not_ready(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str]
) -> None:
    with Distribution(bucket, {"OTHER": RSA.public_key()}) as distribution:
        gateway = await start_gateway(settings | {"storage.cloud_front_domain": distribution.domain})
        assert (await get(gateway, "/arrow/a.whl")).status == 502
        ready = await get(gateway, "/ready")
        assert (ready.status, b"InvalidKey" in ready.body) == (503, True)


async def test_a_wrong_key_is_told_apart_from_an_absent_object(
    start_gateway: StartGateway, bucket: Bucket, settings: dict[str, str]
) -> None:
    with Distribution(bucket, {"KEYID": EC.public_key()}) as distribution:
        settings |= {"storage.cloud_front_key_id": "KEYID", "storage.cloud_front_domain": distribution.domain}
        other = rsa.generate_private_key(65537, 2048)
        distribution.trusted = {"KEYID": other.public_key()}
        gateway = await start_gateway(settings)
        ready = await get(gateway, "/ready")
        assert (ready.status, b"the distribution refuses an object" in ready.body) == (503, True)


async def test_signing_yields_to_the_loop_between_two_signatures(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns, signed_in = [0], []

    def count() -> None:
        turns[0] += 1
        asyncio.get_running_loop().call_soon(count)

    sign = CloudFrontSigner.canned

    def canned(self: CloudFrontSigner, url: str, expires_at: int) -> str:
        signed_in.append(turns[0])
        return sign(self, url, expires_at)

    monkeypatch.setattr(CloudFrontSigner, "canned", canned)
    settings = {
        "storage.backend": "cloudfront",
        "storage.cloud_front_domain": faulty.url,
        "storage.cloud_front_key_id": "KEYID",
        "storage.cloud_front_key_string": pem(RSA),
    }
    gateway = await start_gateway(faulty_settings | settings)
    storage = gateway.storage
    asyncio.get_running_loop().call_soon(count)
    await asyncio.gather(*(storage.url(f"k{number}") for number in range(30)))
    assert len(signed_in) == 30
    assert len(set(signed_in)) == 30, "never two of them in one turn of the loop"


@pytest.mark.parametrize(
    ("given", "key", "reason"),
    [
        ({"storage.cloud_front_key_string": "nonsense"}, "storage.cloud_front_key_string", "is not a private key"),
        ({"storage.cloud_front_key_file": "/does/not/exist"}, "storage.cloud_front_key_file", "can't be read"),
        ({"storage.cloud_front_key_file": "/dev/null"}, "storage.cloud_front_key_file", "is not a private key"),
        ({}, "storage.cloud_front_key_file", "is needed"),
        (
            {"storage.cloud_front_key_string": pem(RSA), "storage.cloud_front_key_password": "x"},
            "storage.cloud_front_key_string",
            "is not encrypted",
        ),
        ({"storage.cloud_front_domain": ""}, "storage.cloud_front_domain", "must be"),
        ({"storage.cloud_front_domain": "https://d.example/path"}, "storage.cloud_front_domain", "must be"),
        ({"storage.cloud_front_ip_range": "2001:db8::/32"}, "storage.cloud_front_ip_range", ""),
    ],
)
def test_what_can_t_be_used_is_an_error_at_start_that_names_its_key(
    given: dict[str, str], key: str, reason: str
) -> None:
    settings = {
        "storage.backend": "cloudfront",
        "storage.bucket": "packages",
        "storage.cloud_front_domain": "d.cloudfront.net",
        "storage.cloud_front_key_id": "KEYID",
    }
    with pytest.raises(ConfigError) as refused:
        Gateway(load(settings | given, environ={}, cwd=Path("/")))
    named = [problem for problem in refused.value.problems if problem.key == key]
    assert [reason in problem.message for problem in named] == [True]
    assert "PRIVATE KEY" not in str(refused.value)


def test_the_string_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(pem(EC))
    settings = {
        "storage.backend": "cloudfront",
        "storage.bucket": "packages",
        "storage.cloud_front_domain": "d.cloudfront.net",
        "storage.cloud_front_key_id": "KEYID",
        "storage.cloud_front_key_file": str(tmp_path / "key.pem"),
    }

    def signed(more: dict[str, str]) -> str:
        found = signer(load(settings | more, environ={}, cwd=tmp_path).storage)
        assert found is not None
        return found.canned("https://d/k", 1)

    def with_key(text: str) -> str:
        return CloudFrontSigner("KEYID", load_key(text.encode())).canned("https://d/k", 1)

    assert signed({"storage.cloud_front_key_string": pem(RSA)}) == with_key(pem(RSA))
    assert len(signed({})) < 150 < len(with_key(pem(RSA))), "the file's key is the short one"


async def test_the_domain_may_be_a_bare_name() -> None:
    given = load({"storage.cloud_front_domain": "d111111abcdef8.cloudfront.net/"}, environ={}, cwd=Path("/"))
    assert given.storage.cloud_front_domain == "https://d111111abcdef8.cloudfront.net"
