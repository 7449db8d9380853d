"""Mounts that stay the same go on; the others are replaced, and end when nothing uses them any more."""

import asyncio
import gc
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from gateway.cache.lru import MemoryPool
from gateway.config.source import ConfigText, Source
from gateway.errors import ConfigError, Problem
from gateway.mounting.mount import Mount
from gateway.running.change import Change
from tests.access.test_gate import basic
from tests.support.certificates import self_signed
from tests.support.eventually import eventually
from tests.support.faults import BUCKET, Answer, FaultyBucket, healthy, on, stall_in_body
from tests.support.reloadable import Reloadable
from tests.support.uploads import upload, wheel

PEOPLE = {"authenticators": ["tests.support.people:People"], "default_read": ["authenticated"]}


def bucket(faulty: FaultyBucket, name: str = BUCKET, **more: Any) -> dict[str, Any]:
    return {
        "bucket": name,
        "endpoint_url": faulty.url,
        "addressing_style": "path",
        "region_name": "us-east-1",
        "aws_access_key_id": "AKIDFAULTY",
        "aws_secret_access_key": "the-secret-of-faulty",
    } | more


def docs(directory: Path, **more: Any) -> dict[str, Any]:
    return {"name": "docs", "path": "/docs", "storage": {"dir": str(directory)}} | more


def shares(one: Reloadable) -> dict[str, int]:
    """How many mounts have a share of each budget, and use each source of credentials."""
    budgets = one.gateway.mounts.budgets
    shares = {purpose: len(pool._shares) for purpose, pool in budgets._pools.items()}
    shares["transit"] = sum(budget._shares for budget in budgets._transfers._found.values())
    shares["disk"] = sum(budgets._quotas._users.values())
    return shares | {"credentials": sum(one.users for one in budgets._credentials.values())}


async def test_nothing_keeps_what_has_been_replaced_when_it_is_told_to_be_gone(
    reloadable: Reloadable, directories: Path
) -> None:
    """What exists then is exempt from garbage collection: it would stay, with its files, until the next reload."""
    former: list[ref[Mount]] = []
    kept: list[bool] = []

    def settled() -> None:
        gc.collect()
        kept.extend(mount() is not None for mount in former)

    reloadable.write(mounts=[docs(directories / "one")])
    await reloadable.start(settled)
    former.append(ref(reloadable.gateway.mount))
    reloadable.write(mounts=[docs(directories / "two")])
    assert (await reloadable.reload())[0] == 200
    await reloadable.settled()
    await eventually(lambda: kept == [False])


async def test_a_mount_that_stays_the_same_keeps_what_it_has_cached(
    reloadable: Reloadable, faulty: FaultyBucket, directories: Path
) -> None:
    faulty.objects["a.txt"] = b"content"
    reloadable.write(storage=bucket(faulty), mounts=[docs(directories / "one")])
    await reloadable.start()
    first, second = reloadable.gateway.mounts.all
    assert await reloadable.get("/a.txt") == (200, b"content")
    assert await reloadable.get("/docs/name.txt") == (200, b"one")
    reloadable.write(storage=bucket(faulty), mounts=[docs(directories / "two")])
    faulty.requests.clear()
    status, told = await reloadable.reload()
    assert (status, told["status"], told["restart"]) == (200, "reloaded", [])
    assert told["mounts"] == {"kept": ["default"], "changed": ["docs"], "added": [], "removed": []}
    assert reloadable.gateway.mounts.all[0] is first
    assert reloadable.gateway.mounts.all[1] is not second
    assert await reloadable.get("/docs/name.txt") == (200, b"two")
    assert await reloadable.get("/a.txt") == (200, b"content")
    (asked,) = [request for request in faulty.requests if request.key == "a.txt"]
    assert "if-none-match" in asked.headers, "it is asked for once, by what is cached"


async def test_mounts_come_and_go_and_move(reloadable: Reloadable, directories: Path) -> None:
    top = {"dir": str(directories / "one")}
    reloadable.write(storage=top)
    await reloadable.start()
    assert (await reloadable.get("/docs/name.txt"))[0] == 404
    reloadable.write(storage=top, mounts=[docs(directories / "two")])
    assert (await reloadable.reload())[1]["mounts"]["added"] == ["docs"]
    assert await reloadable.get("/docs/name.txt") == (200, b"two")
    reloadable.write(storage=top, mounts=[docs(directories / "two", path="/other")])
    assert (await reloadable.reload())[1]["mounts"]["changed"] == ["docs"]
    assert [(await reloadable.get(f"/{path}/name.txt"))[0] for path in ("docs", "other")] == [404, 200]
    reloadable.write(storage=top)
    assert (await reloadable.reload())[1]["mounts"] == {
        "kept": ["default"],
        "changed": [],
        "added": [],
        "removed": ["docs"],
    }
    assert (await reloadable.get("/other/name.txt"))[0] == 404


@pytest.mark.parametrize("layout", ["auto", "flat"])
async def test_a_mount_answers_until_the_one_that_replaces_it_has_been_listed(
    reloadable: Reloadable, faulty: FaultyBucket, layout: str
) -> None:
    """A flat bucket is listed as a whole, which may take longer than clients wait."""
    faulty.objects["acme-1.0.tar.gz"] = b"sdist"
    reloadable.write(storage=bucket(faulty), index={"layout": layout})
    await reloadable.start()
    assert (await reloadable.get("/simple/acme/"))[0] == 200
    former, goes_on = reloadable.gateway.mount, asyncio.Event()

    async def slow(answer: Answer) -> None:
        await goes_on.wait()
        await healthy(answer)

    faulty.of_key[""] = slow
    faulty.requests.clear()
    reloadable.write(storage=bucket(faulty), index={"layout": layout, "refresh": 31})
    reload = asyncio.create_task(reloadable.reload())
    await faulty.until(lambda: any(not request.key for request in faulty.requests))
    for _ in range(20):
        await asyncio.sleep(0)
    assert reloadable.gateway.mount is former
    assert (await reloadable.get("/simple/acme/"))[0] == 200
    goes_on.set()
    assert (await reload)[1]["mounts"]["changed"] == ["default"]
    assert (await reloadable.get("/simple/acme/"))[0] == 200


async def test_a_download_ends_with_the_mount_with_which_it_began(
    reloadable: Reloadable, faulty: FaultyBucket, directories: Path
) -> None:
    faulty.of_key["large.bin"] = on("GET", stall_in_body(1000, length=2000))
    cache = {"memory_bytes": 0}
    reloadable.write(storage=bucket(faulty), cache=cache, mounts=[docs(directories / "one")])
    await reloadable.start()
    former = reloadable.gateway.mount
    ended: list[Mount] = []
    close = former.close

    async def note() -> None:
        ended.append(former)
        await close()

    former.close = note  # type: ignore[method-assign]
    async with reloadable.http.get(f"{reloadable.gateway.url}/large.bin") as download:
        assert len(await download.content.readexactly(1000)) == 1000
        reloadable.write(storage=bucket(faulty), cache=cache, mounts=[docs(directories / "two")])
        assert (await reloadable.reload())[1]["mounts"]["kept"] == ["default"]
        reloadable.write(storage={"dir": str(directories / "two")}, cache=cache, mounts=[docs(directories / "two")])
        assert "default" in (await reloadable.reload())[1]["mounts"]["changed"]
        assert await reloadable.get("/name.txt") == (200, b"two")
        for _ in range(20):  # the graph that was in force in between is drained, but the download began before it
            await asyncio.sleep(0)
        assert len(reloadable.gateway._former) == 1
        assert ended == []
        assert former.storage.stats()["connections_busy"] == 1
        assert not any(task.done() for task in reloadable.gateway._ending)
    await reloadable.settled()
    assert ended == [former]


async def test_what_a_download_does_not_use_ends_before_it(
    reloadable: Reloadable, faulty: FaultyBucket, directories: Path
) -> None:
    """Otherwise one slow client keeps all that many reloads replace."""
    faulty.of_key["large.bin"] = on("GET", stall_in_body(1000, length=2000))
    reloadable.write(storage=bucket(faulty), cache={"memory_bytes": 0}, mounts=[docs(directories / "one")])
    await reloadable.start()
    gateway = reloadable.gateway
    async with reloadable.http.get(f"{gateway.url}/large.bin") as download:
        assert len(await download.content.readexactly(1000)) == 1000
        for name in ("two", "one", "two"):
            reloadable.write(storage=bucket(faulty), cache={"memory_bytes": 0}, mounts=[docs(directories / name)])
            assert (await reloadable.reload())[1]["mounts"]["changed"] == ["docs"]
        first, *others = gateway._ending
        for task in others:
            await asyncio.wait_for(asyncio.shield(task), 5)
        assert not first.done(), "the download began with what that ends"
    await reloadable.settled()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"index": {"refresh": "often"}}, "index.refresh"),
        ({"nonsense": {"a": 1}}, "nonsense"),
        ({"storage": {"backend": "no.such.module:Thing"}}, "no.such.module"),
        ({"access": {"authenticators": ["no.such.module:People"]}}, "no.such.module"),
        ({"access": {"authenticators": ["tests.running.test_change:Failing"]}}, "does not start today"),
        ({"storage": {"bucket": "elsewhere", "endpoint_url": "http://127.0.0.1:9"}}, "mount default): can't be used"),
        ({"server": {"tls_cert": "/nowhere.pem", "tls_key": "/nowhere.pem"}}, "server.tls_cert"),
        ("mounts", "mounts.docs.path"),
        ("second", "no.such.module"),
        ("text", "is not valid YAML"),
        ("empty", "is empty"),
        ("gone", "can't be read"),
    ],
)
async def test_what_fails_leaves_everything_as_it_was(
    reloadable: Reloadable, faulty: FaultyBucket, directories: Path, change: Any, told: str
) -> None:
    faulty.objects["a.txt"] = b"content"
    settings = {"storage": bucket(faulty, max_attempts=1), "mounts": [docs(directories / "one")]}
    reloadable.write(**settings)
    await reloadable.start()
    gateway = reloadable.gateway
    before, graph, mounts = shares(reloadable), gateway._graph, gateway.mounts.all
    # That which is wrong comes last: all mounts have been built by then.
    also = {"storage": bucket(faulty, max_attempts=1, prefix="other/"), "mounts": [docs(directories / "two")]}
    if change == "mounts":
        reloadable.write(**also | {"mounts": [docs(directories / "two"), docs(directories / "two", name="docs")]})
    elif change == "second":
        reloadable.write(**also | {"mounts": [docs(directories, storage={"backend": "no.such.module:Thing"})]})
    elif change == "text":
        reloadable.write_text("storage: {bucket: [the-secret-of-faulty")
    elif change == "empty":
        reloadable.write_text("\n")
    elif change == "gone":
        reloadable.file.unlink()
    else:
        storage = also["storage"] | change.get("storage", {})
        reloadable.write(**also | change | {"storage": storage})
    for _ in range(2):
        status, answer = await reloadable.reload()
        assert (status, answer["status"]) == (422, "refused")
        assert told in " ".join(answer["mistakes"])
        assert "the-secret-of-faulty" not in str(answer)
    assert (gateway._graph, gateway.mounts.all) == (graph, mounts)
    assert shares(reloadable) == before
    assert await reloadable.get("/a.txt") == (200, b"content")
    assert await reloadable.get("/docs/name.txt") == (200, b"one")
    reloadable.write(**settings)
    assert (await reloadable.reload())[0] == 200
    assert gateway.mounts.all == mounts, "nothing has changed"


class Failing:
    method = "failing"
    guessable = True

    async def start(self) -> None:
        raise ConfigError([Problem("access", "failing", "does not start today")])

    async def authenticate(self, credential: object) -> None: ...

    async def close(self) -> None: ...


async def test_what_mounts_have_of_the_budgets_is_given_back(
    reloadable: Reloadable, faulty: FaultyBucket, directories: Path
) -> None:
    mounts = [docs(directories / "one"), {"name": "b", "path": "/b", "storage": {"bucket": "bucket-b"}}]
    reloadable.write(storage=bucket(faulty), mounts=mounts)
    await reloadable.start()
    before = shares(reloadable)
    assert before["credentials"] == 2
    pools = reloadable.gateway.mounts.budgets._pools
    for prefix in ("x/", "y/"):
        reloadable.write(storage=bucket(faulty, prefix=prefix), mounts=mounts, index={"memory_bytes": "64MB"})
        assert (await reloadable.reload())[0] == 200
        await reloadable.settled()
        assert shares(reloadable) == before
    large = pools["index"].max_bytes
    reloadable.write(storage=bucket(faulty), mounts=mounts)
    assert (await reloadable.reload())[0] == 200
    await reloadable.settled()
    assert pools["index"].max_bytes < large, "the pool is as small as its mounts have it now"
    assert shares(reloadable) == before


def test_a_share_that_has_left_takes_nothing_any_more() -> None:
    pool = MemoryPool(1000)
    one = pool.share(1000)
    one.leave()
    assert (pool.max_bytes, one.max_bytes) == (0, 0)


async def test_access_control_is_turned_on_and_off_and_changed(reloadable: Reloadable, directories: Path) -> None:
    storage = {"dir": str(directories / "one")}
    mounts = [docs(directories / "two")]
    reloadable.write(storage=storage, mounts=mounts)
    await reloadable.start()

    async def statuses(**headers: str) -> list[int]:
        return [(await reloadable.get(path, **headers))[0] for path in ("/name.txt", "/docs/name.txt")]

    assert await statuses() == [200, 200]
    reloadable.write(storage=storage, mounts=mounts, access=PEOPLE)
    assert (await reloadable.reload())[1]["mounts"]["changed"] == ["default", "docs"]
    assert await statuses() == [401, 401]
    assert await statuses(**basic("alice")) == [200, 200]
    reloadable.write(storage=storage, mounts=mounts, access=PEOPLE | {"default_read": ["user:bob"]})
    former = reloadable.gateway.mounts.all
    assert (await reloadable.reload())[1]["mounts"]["kept"] == ["default", "docs"]
    assert await statuses(**basic("alice")) == [403, 403], "at once"
    assert reloadable.gateway.mounts.all == former
    reloadable.write(
        storage=storage,
        mounts=[docs(directories / "two", access=PEOPLE)],
        access=PEOPLE | {"default_read": ["user:bob"]},
    )
    assert (await reloadable.reload())[1]["mounts"] == {
        "kept": ["default"],
        "changed": ["docs"],
        "added": [],
        "removed": [],
    }
    assert await statuses(**basic("alice")) == [403, 200]
    reloadable.write(storage=storage, mounts=mounts)
    assert (await reloadable.reload())[0] == 200
    assert await statuses() == [200, 200]


async def test_who_shares_access_control_is_replaced_with_it(reloadable: Reloadable, directories: Path) -> None:
    mounts = [docs(directories / "two")]
    reloadable.write(storage={"dir": str(directories / "one")}, mounts=mounts, access=PEOPLE)
    await reloadable.start()
    reloadable.write(storage={"dir": str(directories / "two")}, mounts=mounts, access=PEOPLE)
    assert (await reloadable.reload())[1]["mounts"]["changed"] == ["default", "docs"]
    await reloadable.settled()
    first, second = reloadable.gateway.mounts.all
    assert first.access is second.access
    assert (await reloadable.get("/docs/name.txt", **basic("alice"))) == (200, b"two")


async def test_the_file_is_followed_after_a_reload_too(
    reloadable: Reloadable, directories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.access.file_watch._SECONDS", 0.02)
    storage = {"dir": str(directories / "one")}
    reloadable.write(storage=storage, access=PEOPLE)
    await reloadable.start()
    closed = PEOPLE | {"default_read": ["user:bob"]}
    source = reloadable.gateway.reloader._source
    assert source is not None
    older = source.read()
    reloadable.write(storage=storage, access=closed)
    gate = reloadable.gateway.mount.access.gate
    await eventually(lambda: reloadable.gateway.mount.access.gate is not gate)
    gate = reloadable.gateway.mount.access.gate
    # Another worker has read the file before this one did.
    await reloadable.gateway._apply(source.settings(older, is_new=True)[0], False)
    assert reloadable.gateway.mount.access.gate is not gate
    await eventually(lambda: len(reloadable.gateway.mount.access._retiring) == 3)
    assert (await reloadable.get("/name.txt", **basic("alice")))[0] == 403, "what the file has is in force again"


async def test_a_mount_is_replaced_with_its_members(reloadable: Reloadable, directories: Path) -> None:
    mounts = [docs(directories / "two"), {"name": "all", "path": "/all", "members": ["docs", "default"]}]
    reloadable.write(storage={"dir": str(directories / "one")}, mounts=mounts)
    await reloadable.start()
    mounts[0] = docs(directories / "one")
    reloadable.write(storage={"dir": str(directories / "one")}, mounts=mounts)
    source = Source.of(config_file=reloadable.file, environ={})
    found: ConfigText = source.read()
    change = Change(reloadable.gateway.mounts, source.settings(found)[0])
    assert change.names() == {"kept": ["default"], "changed": ["docs", "all"], "added": [], "removed": []}
    assert [mount.name for mount in change.all] == ["default", "docs"]
    (virtual,) = change.virtual
    assert [*virtual.members] == change.all[::-1]
    await change.abandon()


async def test_requests_that_meet_reloads_are_all_answered(reloadable: Reloadable, directories: Path) -> None:
    reloadable.write(storage={"dir": str(directories / "one")})
    await reloadable.start()
    seen: set[tuple[int, bytes]] = set()
    going = True

    async def ask() -> None:
        while going:
            seen.add(await reloadable.get("/name.txt"))

    clients = [asyncio.create_task(ask()) for _ in range(4)]
    for number in range(6):
        reloadable.write(storage={"dir": str(directories / ("two", "one")[number % 2])})
        assert (await reloadable.reload())[0] == 200
    going = False
    await asyncio.gather(*clients)
    assert seen == {(200, b"one"), (200, b"two")}


async def test_a_file_that_a_mount_has_read_is_part_of_its_settings(
    reloadable: Reloadable, faulty: FaultyBucket, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(self_signed(tmp_path)[0].read_bytes())
    faulty.objects["a.txt"] = b"content"
    reloadable.write(storage=bucket(faulty, verify=str(bundle)))
    await reloadable.start()
    assert (await reloadable.reload())[1]["mounts"]["kept"] == ["default"]
    bundle.write_bytes(bundle.read_bytes() + b"\n")
    assert (await reloadable.reload())[1]["mounts"]["changed"] == ["default"]
    assert await reloadable.get("/a.txt") == (200, b"content")


async def test_an_upload_ends_with_its_mount_though_its_client_leaves(
    reloadable: Reloadable, faulty: FaultyBucket
) -> None:
    publish = {"enabled": True, "allow_anonymous": True, "beacon": False, "status": False}
    reloadable.write(storage=bucket(faulty), publish=publish)
    await reloadable.start()
    uploads = reloadable.gateway.mount.uploads
    assert uploads is not None
    await uploads.probed()
    filename, content = wheel("acme", "1.0")
    key, goes_on = f"acme/{filename}", asyncio.Event()

    async def slow(answer: Answer) -> None:
        await goes_on.wait()
        await healthy(answer)

    faulty.of_key[key] = on("PUT", slow)
    client = asyncio.create_task(upload(reloadable.gateway.url, filename, content))
    await faulty.until(lambda: any(request.method == "PUT" and request.key == key for request in faulty.requests))
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    former = reloadable.gateway.mount
    close, written = former.close, list[bool]()

    async def note() -> None:
        written.append(key in faulty.objects)
        await close()

    former.close = note  # type: ignore[method-assign]
    reloadable.write(storage=bucket(faulty, read_timeout=20), publish=publish)
    assert (await reloadable.reload())[1]["mounts"]["changed"] == ["default"]
    graph = reloadable.gateway._former
    await eventually(lambda: not graph)
    for _ in range(20):
        await asyncio.sleep(0)
    goes_on.set()
    await reloadable.settled()
    assert (written, faulty.objects[key]) == ([True], content)
