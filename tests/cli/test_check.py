from pathlib import Path

import pytest

from gateway.cli.check import run
from gateway.cli.seaweed import Seaweed
from gateway.config.load import load
from gateway.storage_stack import build_storage
from tests.support import faults
from tests.support.bucket import Bucket
from tests.support.faults import FaultyBucket, error


async def check(settings: dict[str, str]) -> tuple[int, str]:
    lines: list[str] = []
    code = await run(build_storage(load(settings, environ={}, cwd=Path("/"))), lines.append)
    return code, "\n".join(lines)


async def test_a_bucket_that_works(bucket: Bucket) -> None:
    bucket.put("arrow/index.html", b"page")
    code, text = await check(bucket.settings())
    assert code == 0
    key = bucket.server.access_key
    assert text.splitlines() == [
        f"ok    storage      S3 bucket {bucket.name} at {bucket.server.endpoint_url}/{bucket.name}",
        f"ok    credentials  {key[:4]}…{key[-4:]} from settings",
        "ok    bucket       answers in region us-east-1",
        "ok    listing      first key: 'arrow/index.html', 4 bytes",
        "ok    reading      got its first bytes",
        "ok    all is well",
    ]
    assert key not in text
    assert bucket.server.secret_key not in text


async def test_an_empty_bucket_is_fine_but_said(bucket: Bucket) -> None:
    code, text = await check(bucket.settings())
    assert code == 0
    assert "no object yet" in text


@pytest.mark.parametrize(
    ("change", "cause", "advice"),
    [
        ({"storage.bucket": "no-such-bucket"}, "NoSuchBucket", "check storage.bucket"),
        ({"storage.aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch", "copy both again"),
        ({"storage.aws_access_key_id": "AKIDUNKNOWN"}, "InvalidAccessKeyId", "is it of this account"),
        ({"storage.endpoint_url": "http://127.0.0.1:1"}, "can't connect", "check storage.endpoint_url"),
        ({"storage.bucket": "127.0.0.1"}, "no S3 endpoint fits|NoSuchBucket|InvalidBucketName", ""),
    ],
)
async def test_what_is_wrong_is_said_with_what_to_do(
    bucket: Bucket, change: dict[str, str], cause: str, advice: str
) -> None:
    import re

    code, text = await check(bucket.settings() | change | {"storage.max_attempts": "1"})
    assert code == 1
    assert re.search(cause, text)
    assert advice in text
    assert bucket.server.secret_key not in text


async def test_tls_to_a_plain_port_is_explained(seaweed: Seaweed, bucket: Bucket) -> None:
    url = seaweed.endpoint_url.replace("http:", "https:")
    code, text = await check(bucket.settings() | {"storage.endpoint_url": url, "storage.max_attempts": "1"})
    assert code == 1
    assert "TLS" in text


async def test_a_learnt_region_is_worth_a_setting(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> None:
    faulty.objects["k"] = b"x"
    faulty.then(faults.wrong_region("eu-west-1"))
    code, text = await check(faulty_settings)
    assert code == 0
    assert "set storage.region_name to eu-west-1" in text


async def test_missing_permissions_are_told(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> None:
    faulty.then(error(403, "AccessDenied"), times=2)
    code, text = await check(faulty_settings)
    assert code == 0
    assert "no permission to list the bucket (s3:ListBucket)" in text
    assert "not tried" in text
    faulty.objects["k"] = b"x"
    faulty.then(faults.healthy, faults.healthy, error(403, "AccessDenied"))
    code, text = await check(faulty_settings)
    assert code == 1
    assert "s3:GetObject" in text


async def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("x")
    code, text = await check({"storage.dir": str(tmp_path)})
    assert (code, text.splitlines()[1]) == (0, "ok    listing      first key: 'k', 1 bytes")
    code, text = await check({"storage.dir": str(tmp_path / "typo")})
    assert code == 1
    assert "create it, or set storage.dir" in text
