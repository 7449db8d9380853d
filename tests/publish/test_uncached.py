"""What must be known now comes from no cache, though caches serve old answers while the storage can't be asked."""

from pathlib import Path

import aiohttp
import pytest

from gateway.errors import UpstreamBusyError
from gateway.publish.life_cycle.tombstones import Tombstones
from tests.conftest import StartGateway
from tests.index.status.test_obeyed import KEY, say
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, error
from tests.support.uploads import upload, wheel

FILE, CONTENT = wheel("acme_web", "1.0")
OPEN = {"publish.enabled": "true", "publish.allow_anonymous": "true"}
CACHED = OPEN | {"publish.status": "true", "storage.max_attempts": "1", "cache.memory_bytes": "16MB"}
DOWN = error(500, "InternalError")


@pytest.mark.parametrize("before", ["archived", ""], ids=["a document", "no document"])
async def test_no_upload_relies_on_a_status_that_a_cache_knows(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], before: str
) -> None:
    if before:
        say(faulty, other=before)
    gateway = await start_gateway(faulty_settings | CACHED)
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    say(faulty, acme_web="archived")
    faulty.of_key[KEY] = DOWN
    newer, content = wheel("acme_web", "2.0")
    assert (await upload(gateway.url, newer, content))[0] == 503
    assert f"acme-web/{newer}" not in faulty.objects


async def test_no_file_is_served_on_a_status_that_a_disk_remembers(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    """Gateways that have been restarted know nothing of the status, whatever their predecessors knew."""
    say(faulty, other="archived")
    faulty.objects[f"acme-web/{FILE}"] = CONTENT
    cached = faulty_settings | CACHED | {"cache.dir": str(tmp_path)}
    first = await start_gateway(cached)
    async with aiohttp.request("GET", f"{first.url}/acme-web/{FILE}") as answer:
        assert answer.status == 200
    await eventually(lambda: first.mount.storage.stats()["writes_to_disk"] == 0)
    say(faulty, acme_web="quarantined")
    faulty.of_key[KEY] = DOWN
    second = await start_gateway(cached)
    async with aiohttp.request("GET", f"{second.url}/acme-web/{FILE}") as answer:
        assert answer.status == 503


async def test_no_name_comes_back_because_a_cache_does_not_know_that_it_was_deleted(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | CACHED)
    tombstones = Tombstones(gateway.mount.storage, "")
    assert await tombstones.of(FILE) is None
    key = f".gateway/deleted/{FILE}.json"
    faulty.objects[key] = b'{"sha256": "%s"}' % (b"a" * 64)  # by another gateway
    faulty.of_key[key] = DOWN
    with pytest.raises(UpstreamBusyError):
        await tombstones.of(FILE)
    del faulty.of_key[key]
    assert await tombstones.of(FILE) == "a" * 64
