"""What a virtual index does with a member that is empty, down, or hangs."""

import asyncio
import json
import threading
from pathlib import Path

import pytest

from gateway.executors import DISK, working_for
from tests.conftest import StartGateway
from tests.mounts.test_mounts import configure, put, status
from tests.mounts.test_virtual import ALL, versions
from tests.support import faults
from tests.support.faults import FaultyBucket


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    put(tmp_path / "b", "shared", "2.0")
    return {name: put(tmp_path / name, f"of-{name}".replace("-", "_"), "1.0") for name in ("main", "b")}


async def test_an_empty_directory_may_be_a_volume_that_is_not_mounted(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, ALL.replace("DIR/main", "DIR/blank"))
    (tmp_path / "blank").mkdir()
    gateway = await start_gateway({})
    assert await status(gateway, "/all/simple/of-b/") == 503
    put(tmp_path / "blank", "first", "1.0")
    gateway.refresh()
    assert await status(gateway, "/all/simple/of-b/") == 200


@pytest.mark.parametrize("layout", ["auto", "project", "flat"])
async def test_an_index_without_packages_leaves_all_names_to_the_next(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str], layout: str
) -> None:
    configure(tmp_path, ALL.replace("DIR/main", "DIR/empty"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".keep").touch()
    gateway = await start_gateway({"index.layout": layout})
    assert await versions(gateway, "shared") == ["2.0"]
    targets = f"/all/{files['b']}", "/all/simple/none/", "/all/none/none-1.0.tar.gz"
    assert [await status(gateway, target) for target in targets] == [200, 404, 404]


async def test_without_permission_to_list_no_other_takes_its_place(
    start_gateway: StartGateway,
    tmp_path: Path,
    files: dict[str, str],
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
) -> None:
    storage = {name.removeprefix("storage."): value for name, value in faulty_settings.items()}
    configure(tmp_path, ALL.replace("storage: {dir: DIR/main}", f"storage: {json.dumps(storage)}"))
    gateway = await start_gateway({})
    faulty.then(*[faults.error(403, "AccessDenied")] * 200)
    assert await status(gateway, "/all/simple/of-b/") == 503


@pytest.mark.parametrize("layout", ["auto", "project", "flat"])
async def test_while_a_member_can_t_tell_no_other_takes_its_place(
    start_gateway: StartGateway,
    tmp_path: Path,
    files: dict[str, str],
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    layout: str,
) -> None:
    storage = {name.removeprefix("storage."): value for name, value in faulty_settings.items()} | {"max_attempts": 1}
    faulty.objects = {"ours/ours-1.0.tar.gz": b"x"}
    configure(tmp_path, ALL.replace("storage: {dir: DIR/main}", f"storage: {json.dumps(storage)}"))
    gateway = await start_gateway({"index.layout": layout})
    assert await versions(gateway, "ours") == ["1.0"]
    assert await versions(gateway, "of-b") == ["1.0"]
    faulty.then(*[faults.error(500, "InternalError")] * 200)
    gateway.refresh()
    assert await status(gateway, "/all/simple/ours/") == 200, "what is known of it is served"
    for target in ("/all/simple/of-b/", f"/all/{files['b']}", "/all/simple/none/"):
        assert await status(gateway, target) == 503, target
    assert await status(gateway, "/team-b/simple/of-b/") == 200


async def test_what_hangs_at_one_member_holds_up_no_other(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    """Threads that read from a directory are those of the mount that has it."""
    configure(tmp_path, ALL)
    gateway = await start_gateway({})
    release = threading.Event()
    with working_for("all"):
        hanging = [DISK.run(release.wait, 20) for _ in range(DISK.threads)]
    try:
        async with asyncio.timeout(5):
            for target in ("/all/simple/", "/all/simple/of-b/", f"/all/{files['main']}", "/all/simple/none"):
                assert await status(gateway, target) in (200, 404), target
    finally:
        release.set()
    await asyncio.gather(*hanging)
