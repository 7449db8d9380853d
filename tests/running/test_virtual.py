"""Virtual indexes, and what else mounts have together, when the configuration is reloaded."""

import json
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.entrances import Entrances
from tests.access.test_gate import basic
from tests.running.test_change import PEOPLE, bucket, docs, shares
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, stall_in_body
from tests.support.reloadable import Reloadable
from tests.support.wheels import wheel

JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
ALL = {"name": "all", "path": "/all", "members": ["docs", "default"]}


def put(directory: Path, project: str) -> None:
    name, content = wheel(project, "1.0")
    (directory / project).mkdir()
    (directory / project / name).write_bytes(content)


async def listed(one: Reloadable, path: str = "/all/simple/", **headers: str) -> list[str]:
    status, text = await one.get(path, **JSON, **headers)
    assert status == 200, text
    return [project["name"] for project in json.loads(text)["projects"]]


async def reloaded(one: Reloadable) -> Mapping[str, list[str]]:
    status, answer = await one.reload()
    assert status == 200, answer
    await one.settled()
    mounts: Mapping[str, list[str]] = answer["mounts"]
    return mounts


async def test_a_virtual_index_comes_and_goes_and_follows_its_members(
    reloadable: Reloadable, directories: Path
) -> None:
    for name in ("one", "two"):
        put(directories / name, f"of{name}")
    storage, two = {"dir": str(directories / "one")}, docs(directories / "two")
    reloadable.write(storage=storage, mounts=[two])
    await reloadable.start()
    before = shares(reloadable)
    assert (await reloadable.get("/all/simple/"))[0] == 404

    reloadable.write(storage=storage, mounts=[two, ALL])
    assert await reloaded(reloadable) == {"kept": ["default", "docs"], "changed": [], "added": ["all"], "removed": []}
    assert await listed(reloadable) == ["ofone", "oftwo"]
    (first,) = reloadable.gateway.mounts.virtual
    assert await reloaded(reloadable) == {
        "kept": ["default", "docs", "all"],
        "changed": [],
        "added": [],
        "removed": [],
    }
    assert [*reloadable.gateway.mounts.virtual] == [first]

    reloadable.write(storage=storage, mounts=[docs(directories / "one"), ALL])
    assert (await reloaded(reloadable))["changed"] == ["docs", "all"]
    (second,) = reloadable.gateway.mounts.virtual
    assert [*second.members] == [*reversed(reloadable.gateway.mounts.all)]
    assert await listed(reloadable) == ["ofone"]

    reloadable.write(storage=storage, mounts=[docs(directories / "one"), ALL | {"path": "/both"}])
    assert (await reloaded(reloadable))["changed"] == ["all"]
    assert await listed(reloadable, "/both/simple/") == ["ofone"]

    reloadable.write(storage=storage, mounts=[two])
    assert await reloaded(reloadable) == {"kept": ["default"], "changed": ["docs"], "added": [], "removed": ["all"]}
    assert (await reloadable.get("/both/simple/"))[0] == 404
    assert shares(reloadable) == before | {"virtual indexes": 0}, "its memory is given back"


async def test_a_virtual_index_that_cannot_be_used_gives_its_memory_back(
    reloadable: Reloadable, directories: Path
) -> None:
    storage = {"dir": str(directories / "one")}
    reloadable.write(storage=storage, mounts=[docs(directories / "two"), ALL])
    await reloadable.start()
    before = shares(reloadable)
    reloadable.write(
        storage=storage,
        mounts=[docs(directories / "one"), ALL, {"name": "c", "path": "/c", "storage": {"backend": "a:b"}}],
    )
    assert (await reloadable.reload())[0] == 422
    assert shares(reloadable) == before
    assert [mount.name for mount in reloadable.gateway.mounts.virtual] == ["all"]


async def test_a_member_with_access_control_of_its_own_from_now_on(
    reloadable: Reloadable, directories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is followed for both afterwards, as it is after a restart."""
    monkeypatch.setattr("gateway.access.file_watch._SECONDS", 0.02)
    storage = {"dir": str(directories / "one")}
    reloadable.write(storage=storage, mounts=[docs(directories / "two")], access=PEOPLE)
    await reloadable.start()
    own = docs(directories / "two", access={"default_read": ["user:bob"]})
    reloadable.write(storage=storage, mounts=[own], access=PEOPLE)
    assert await reloaded(reloadable) == {"kept": ["default"], "changed": ["docs"], "added": [], "removed": []}
    first, second = (mount.access for mount in reloadable.gateway.mounts.all)
    assert first is not second
    gates = first.gate, second.gate
    own = docs(directories / "two", access={"default_read": ["user:alice"]})
    reloadable.write(storage=storage, mounts=[own], access=PEOPLE | {"default_read": ["user:bob"]})
    await eventually(lambda: first.gate is not gates[0] and second.gate is not gates[1])
    assert (await reloadable.get("/name.txt", **basic("alice")))[0] == 403
    assert (await reloadable.get("/docs/name.txt", **basic("alice")))[0] == 200


async def test_hints_are_given_once(
    reloadable: Reloadable, directories: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage, rule = {"dir": str(directories / "one")}, {"paths": ["/docs/a"], "read": ["everyone"]}
    access: dict[str, Any] = PEOPLE | {"rules": [rule]}
    reloadable.write(storage=storage, access=access)
    await reloadable.start()

    def hints() -> list[str]:
        found = [record.message for record in caplog.records if record.levelno == logging.WARNING]
        caplog.clear()
        return [message for message in found if "/docs/a" in message]

    assert hints() == []
    reloadable.write(storage=storage, mounts=[docs(directories / "two")], access=access)
    assert (await reloaded(reloadable))["added"] == ["docs"]
    (hint,) = hints()
    assert "the path of the mount docs" in hint
    assert (await reloaded(reloadable))["kept"] == ["default", "docs"]
    assert hints() == [], "it has been given"
    reloadable.write(storage=storage, access=access)
    assert (await reloaded(reloadable))["removed"] == ["docs"]
    assert hints() == []
    assert reloadable.gateway.mounts.hints() == []


async def test_what_all_mounts_have_together_can_change(
    reloadable: Reloadable, faulty: FaultyBucket, directories: Path
) -> None:
    cache = {"dir": str(directories / "cache"), "disk_bytes": "100MB"}
    mounts = [{"name": "b", "path": "/b", "storage": {"bucket": "bucket-b"}}]
    reloadable.write(storage=bucket(faulty), mounts=mounts, cache=cache)
    await reloadable.start()
    before, budgets = shares(reloadable), reloadable.gateway.mounts.budgets
    first, transfer = budgets.quota, budgets.transfer
    assert first is not None
    assert transfer is not None
    changed = cache | {"disk_bytes": "200MB"}
    reloadable.write(storage=bucket(faulty), mounts=mounts, cache=changed, parallel={"memory_bytes": "64MB"})
    await reloaded(reloadable)
    assert budgets.quota is not None
    assert budgets.transfer is not None
    assert (budgets.quota.max_bytes, budgets.transfer.max_bytes) == (200_000_000, 64_000_000)
    assert shares(reloadable) == before
    absent = {"name": "absent", "path": "/absent", "storage": {"bucket": "absent", "backend": "no.such:Backend"}}
    reloadable.write(storage=bucket(faulty), mounts=[absent], cache=cache)
    assert (await reloadable.reload())[0] == 422
    assert (budgets.quota.max_bytes, budgets.transfer.max_bytes) == (200_000_000, 64_000_000)
    assert shares(reloadable) == before, "what could not be put in force has given everything back"
    reloadable.write(storage=bucket(faulty), mounts=mounts)
    await reloaded(reloadable)
    assert budgets.quota is None
    assert budgets.transfer.max_bytes == transfer.max_bytes


async def test_metrics_are_those_of_the_mounts_in_force(
    reloadable: Reloadable, faulty: FaultyBucket, directories: Path
) -> None:
    mounts = [{"name": "b", "path": "/b", "storage": bucket(faulty)}]
    reloadable.write(storage={"dir": str(directories / "one")}, mounts=mounts)
    await reloadable.start()

    async def metric(line: str) -> bytes:
        text = (await reloadable.get("/metrics"))[1]
        found = [one for one in text.splitlines() if one.startswith(line.encode())]
        return found[0].rpartition(b" ")[2] if found else b""

    limit = 'gateway_upstream_connections_max{mount="b",upstream="storage"}'
    most = float(await metric(limit))
    changed = mounts[0] | {"storage": bucket(faulty, max_pool_connections=int(most) + 1)}
    reloadable.write(storage={"dir": str(directories / "one")}, mounts=[changed])
    await reloaded(reloadable)
    assert float(await metric(limit)) == most + 1
    reloadable.write(storage={"dir": str(directories / "one")})
    await reloaded(reloadable)
    assert await metric(limit) == b"0.0"
    assert await metric('gateway_credentials_expiry_seconds{mount="b"}') == b"+Inf"
    assert await metric("gateway_requests_in_flight") == b"1.0"


async def test_one_mount_has_most_of_the_connections_that_are_possible(
    reloadable: Reloadable, directories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []
    limit = Entrances.limit

    def noted(self: Entrances, max_connections: int) -> None:
        limits.append(max_connections)
        limit(self, max_connections)

    monkeypatch.setattr(Entrances, "limit", noted)
    monkeypatch.setattr("gateway.app.connections_within", lambda descriptors: 100)
    reloadable.write(storage={"dir": str(directories / "one")})
    await reloadable.start()
    assert limits[-1] == 100
    reloadable.write(storage={"dir": str(directories / "one")}, server={"max_connections": 40})
    await reloaded(reloadable)
    assert limits[-1] == 40


async def test_requests_that_began_before_a_reload_count_for_their_mount(
    reloadable: Reloadable, faulty: FaultyBucket, directories: Path
) -> None:
    """Else clients that are slow would have the connections of the other mounts, too."""
    faulty.of_key["large.bin"] = stall_in_body(1000, length=2000)
    more: dict[str, Any] = {"server": {"max_connections": 8}, "cache": {"memory_bytes": 0}}
    reloadable.write(storage=bucket(faulty), mounts=[docs(directories / "one")], **more)
    await reloadable.start()
    async with AsyncExitStack() as downloads:
        for _ in range(6):
            ask = reloadable.http.get(f"{reloadable.gateway.url}/large.bin")
            assert (await downloads.enter_async_context(ask)).status == 200
        assert (await reloadable.get("/other.bin"))[0] == 503
        reloadable.write(storage=bucket(faulty), mounts=[docs(directories / "two")], **more)
        assert (await reloadable.reload())[1]["mounts"]["kept"] == ["default"]
        assert (await reloadable.get("/other.bin"))[0] == 503
        assert await reloadable.get("/docs/name.txt") == (200, b"two")
    await reloadable.settled()
    assert (await reloadable.get("/other.bin"))[0] == 404
