"""Several mounts of one bucket: where they differ in what a key stands for, none gets what another has cached."""

import json
from pathlib import Path

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
