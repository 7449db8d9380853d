"""Several mounts of one bucket: where they differ in what a key stands for, or in who may read it, none gets what
another has cached."""

import json
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.mounts.test_mounts import TWO, configure, get, status
from tests.support import faults
from tests.support.faults import FaultyBucket

KEY = "acme/acme-1.0.tar.gz"


async def test_a_hash_in_front_of_keys_makes_them_other_objects(
    start_gateway: StartGateway, tmp_path: Path, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {KEY: b"plain"}
    storage = {name.removeprefix("storage."): value for name, value in faulty_settings.items()} | {"max_attempts": 1}
    ours, theirs = json.dumps(storage), json.dumps(storage | {"prepend_hash": True})
    configure(tmp_path, TWO.replace("{dir: DIR/main}", ours).replace("{dir: DIR/b}", theirs))
    gateway = await start_gateway({"cache.dir": str(tmp_path / "cache")})
    assert (await get(gateway, f"/{KEY}"))[:2] == (200, "plain")
    faulty.then(*[faults.error(500, "InternalError")] * 20)
    assert await status(gateway, f"/{KEY}") == 200, "it is cached"
    assert await status(gateway, f"/team-b/{KEY}") >= 500


@pytest.mark.parametrize("state", ["answers", "down"])
@pytest.mark.parametrize(
    "other",
    [
        {"signature_version": "unsigned"},
        {"public_url": True},
        {"aws_access_key_id": "AKIDOTHER"},
        {"backend": "cloudfront", "cloud_front_domain": "URL"},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_what_one_may_not_read_it_does_not_get_because_another_may(
    start_gateway: StartGateway,
    tmp_path: Path,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    other: dict[str, str],
    state: str,
) -> None:
    async def to_one_only(answer: faults.Answer) -> None:
        signed = "AKIDFAULTY" in answer.request.headers.get("authorization", "")
        await (faults.healthy if signed else faults.error(403, "AccessDenied"))(answer)

    faulty.objects, faulty.of_key = {KEY: b"secret"}, {KEY: to_one_only}
    storage = {name.removeprefix("storage."): value for name, value in faulty_settings.items()} | {"max_attempts": 1}
    theirs = json.dumps(storage | other).replace("URL", faulty.url)
    configure(tmp_path, TWO.replace("{dir: DIR/main}", json.dumps(storage)).replace("{dir: DIR/b}", theirs))
    gateway = await start_gateway({"cache.dir": str(tmp_path / "cache")})
    assert (await get(gateway, f"/{KEY}"))[:2] == (200, "secret")
    if state == "down":
        faulty.of_key = {KEY: faults.error(500, "InternalError")}
    assert await status(gateway, f"/{KEY}") == 200, "it is cached"
    assert await status(gateway, f"/team-b/{KEY}") >= 400
