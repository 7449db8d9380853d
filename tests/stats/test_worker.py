"""What the metrics tell of a process, through the whole gateway."""

import asyncio
import platform
import re
import threading
from pathlib import Path

import aiohttp

from gateway import __version__, executors
from gateway.app import Gateway
from gateway.config.load import load
from gateway.executors import HASH
from tests.conftest import StartGateway
from tests.ops.test_metrics import values
from tests.stats.test_mount import CACHED
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket


async def test_versions_and_workers(start_gateway: StartGateway, tmp_path: Path) -> None:
    found = values((await start_gateway({"storage.dir": str(tmp_path)})).metrics)
    assert found[f"gateway_build_info python={platform.python_version()} version={__version__}"] == 1
    assert found["gateway_workers"] == 1
    assert found["gateway_event_loop_lag_seconds"] < 60


async def test_connections_of_clients_and_their_limit(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(tmp_path), "server.max_connections": "2"})
    port = int(gateway.url.rpartition(":")[2])
    open_ones = []
    for count in (1, 2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n")  # neither is idle once its head begins
        open_ones.append((reader, writer))
        await eventually(lambda count=count: values(gateway.metrics)["gateway_client_connections"] == count)  # type: ignore[misc]
    found = values(gateway.metrics)
    assert found["gateway_client_connections_max"] == 2
    assert found["gateway_client_connections_refused_total"] == 0
    for _, writer in open_ones:
        writer.close()
    await eventually(lambda: values(gateway.metrics)["gateway_client_connections"] == 0)


async def test_work_that_waits_for_a_thread(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(tmp_path)})
    end = threading.Event()
    work = [HASH.run(end.wait, 20) for _ in range(HASH.threads + 3)]
    try:
        found = values(gateway.metrics)
        assert found["gateway_executor_threads executor=hash"] == HASH.threads
        assert found["gateway_executor_threads_max executor=hash"] == HASH.threads
        assert found["gateway_executor_queue_length executor=hash"] == 3
    finally:
        end.set()
        await asyncio.gather(*work)
    assert values(gateway.metrics)["gateway_executor_queue_length executor=hash"] == 0


async def test_every_executor_is_told_of(start_gateway: StartGateway, tmp_path: Path) -> None:
    found = values((await start_gateway({"storage.dir": str(tmp_path)})).metrics)
    source = Path(executors.__file__).read_text()
    made = re.findall(r'^[A-Z_]+ = Executor\("([\w-]+)", \d+(?:, each=True)?\)$', source, re.MULTILINE)
    assert len(set(made)) == len(made) > 10
    for name in made:
        assert f"gateway_executor_queue_length executor={name}" in found


async def test_caches_in_memory_and_on_disk(
    start_gateway: StartGateway,
    http: aiohttp.ClientSession,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    tmp_path: Path,
) -> None:
    faulty.objects = {f"{number}/file-1.0.tar.gz": b"x" * 1000 for number in range(3)}
    cache = {"cache.dir": str(tmp_path / "c"), "cache.disk_bytes": "20000000", "parallel.memory_bytes": "64000000"}
    gateway = await start_gateway(faulty_settings | CACHED | cache)
    before = values(gateway.metrics)
    assert before["gateway_memory_cache_entries cache=objects pool=objects"] == 0
    for key in faulty.objects:
        async with http.get(f"{gateway.url}/{key}"):
            pass
    await eventually(lambda: values(gateway.metrics)["gateway_disk_cache_entries"] == 3)
    found = values(gateway.metrics)
    objects = "cache=objects pool=objects"
    assert found[f"gateway_memory_cache_entries {objects}"] == 3
    assert 3000 < found[f"gateway_memory_cache_bytes {objects}"] < 10_000
    assert found["gateway_memory_cache_max_bytes pool=objects"] == 8_750_000 - 8_750_000 // 16
    assert found["gateway_memory_cache_entries cache=replies pool=replies"] == 3
    assert found["gateway_disk_cache_max_bytes"] == 20_000_000
    assert 3000 <= found["gateway_disk_cache_bytes"] < 10_000
    assert found["gateway_transfer_memory_max_bytes"] == 64_000_000
    assert found["gateway_transfer_memory_bytes"] == 0


async def test_the_number_of_mounts_does_not_multiply_what_is_told_by_cache(tmp_path: Path) -> None:
    told = []
    for mounts in (1, 5):
        file = tmp_path / f"{mounts}.yaml"
        names = [f"m{number}" for number in range(1, mounts)]
        listed = [f"{{name: {name}, path: /{name}, storage: {{bucket: {name}-pypi}}}}" for name in names]
        top = "server: {port: 0}\nstorage: {bucket: my-pypi, region_name: eu-west-1}\n"
        file.write_text(f"{top}mounts: [{', '.join(listed)}]\n")
        gateway = Gateway(load(config_file=file, environ={}, cwd=tmp_path))
        await gateway.start()
        found = values(gateway.metrics)
        await gateway.stop()
        told.append({name for name in found if "mount=" not in name and name.startswith("gateway_")})
        assert sum("mount=" in name for name in found) <= 20 * mounts
    assert told[0] == told[1]
