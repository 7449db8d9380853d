"""The storage is down, through the whole gateway: what clients get, how soon, and what the storage is asked."""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.ops.output import STDOUT
from tests.conftest import StartGateway
from tests.support import environments, faults
from tests.support.eventually import eventually
from tests.support.faults import Behaviour, FaultyBucket, error
from tests.support.http import RawAnswer, fetch
from tests.support.nightly import by_night
from tests.support.publicindex import PublicIndex
from tests.support.wheels import wheel

WHEEL = "acme/acme-1.0-py3-none-any.whl"
ALWAYS = 100_000
BUSY = error(503, "SlowDown")


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    """Everything that is known is old at once."""
    # A wheel that can be read: of another, its page would promise no metadata once that is found out.
    faulty.objects = {WHEEL: wheel("acme", "1.0")[1], "page.html": b"a page", "acme/acme-1.0.tar.gz": b"an sdist"}
    old = {"index.refresh": "0", "cache.index_ttl": "0", "cache.file_ttl": "0", "cache.negative_ttl": "0"}
    kept = {"cache.memory_bytes": "10000000", "index.compute_hashes": "false", "ops.ready_ttl": "0"}
    return faulty_settings | old | kept


async def get(gateway: Gateway, target: str, method: str = "GET") -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), target, method=method)


@pytest.mark.parametrize(
    ("at_once", "fault"), [(1, faults.reset), (100, BUSY), *by_night((1, BUSY), (100, faults.reset))]
)
async def test_an_outage_multiplies_requests_by_no_more_than_a_fifth(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, fault: Behaviour, at_once: int
) -> None:
    gateway = await start_gateway(settings)
    await get(gateway, "/page.html")
    faulty.requests.clear()
    faulty.then(fault, times=ALWAYS)
    free = asyncio.Semaphore(at_once)

    async def one(number: int) -> int:
        async with free:
            return (await get(gateway, f"/{number}/file-1.0.tar.gz")).status

    statuses = Counter(await asyncio.gather(*(one(number) for number in range(200))))
    assert set(statuses) <= {502, 503}
    assert len(faulty.requests) <= 240


async def test_one_object_that_fails_closes_the_way_to_no_other(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    async def by_key(answer: faults.Answer) -> None:
        await (error(500, "InternalError") if answer.request.key == "bad" else faults.healthy)(answer)

    gateway = await start_gateway(settings)
    faulty.then(by_key, times=ALWAYS)
    assert {(await get(gateway, "/bad")).status for _ in range(30)} == {503}
    assert (await get(gateway, "/page.html")).status == 200


@pytest.mark.parametrize("fault", [BUSY, faults.reset], ids=["busy", "reset"])
async def test_one_fault_among_answers_is_still_healed(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, fault: Behaviour
) -> None:
    gateway = await start_gateway(settings)
    for _ in range(30):
        faulty.then(fault, faults.healthy, faults.healthy, faults.healthy, faults.healthy, faults.healthy)
        answers = [await get(gateway, "/page.html") for _ in range(5)]
        assert [answer.status for answer in answers] == [200] * 5
        assert not any("detail=stale" in answer.headers["cache-status"] for answer in answers)


async def test_a_storage_that_never_answers_delays_one_client_by_a_second_and_no_other(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    targets = ["/acme/", "/page.html", f"/{WHEEL}", "/"]
    known = {target: (await get(gateway, target)).body for target in targets}
    faulty.then(faults.stall, times=ALWAYS)
    gateway.mount.patience.seconds = 0.05
    assert (await get(gateway, "/page.html")).body == known["/page.html"]
    gateway.mount.patience.seconds = 3600  # whoever waits now, waits for longer than this test lasts
    for target in [*targets, *targets]:
        answer = await get(gateway, target)
        assert (answer.status, answer.body) == (200, known[target])
        assert answer.headers["cache-control"] == "no-cache"


async def test_while_the_storage_is_known_to_be_down_stale_answers_come_without_a_request_to_it(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"storage.max_attempts": "1"})
    known = (await get(gateway, "/page.html")).body
    faulty.then(BUSY, times=ALWAYS)
    for number in range(10):
        await get(gateway, f"/{number}/file-1.0.tar.gz")
    page = json.loads((await get(gateway, "/ready")).body)
    assert page["status"] == "unavailable"
    assert page[f"circuit 127.0.0.1:{faulty.port}"] in ("open", "half-open")
    assert b'gateway_circuits_open{mount="default",upstream="storage"} 1.0' in (await get(gateway, "/metrics")).body
    before = len(faulty.requests)
    for _ in range(100):
        assert (await get(gateway, "/page.html")).body == known
    assert len(faulty.requests) <= before + 5  # probes


async def test_a_storage_that_is_back_is_found(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"storage.max_attempts": "1"})
    faulty.then(BUSY, times=10)
    for number in range(10):
        await get(gateway, f"/{number}/file-1.0.tar.gz")
    async with asyncio.timeout(20):
        while (answer := await get(gateway, "/page.html")).status != 200:
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.body == b"a page"
    assert b'gateway_circuits_open{mount="default",upstream="storage"} 0.0' in (await get(gateway, "/metrics")).body


async def test_a_slow_listing_does_not_close_the_other_index(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """Whether a project is ours must be known by a listing that is fresh: that one is waited for."""
    async with PublicIndex().running() as public:
        public.projects["other"] = {"other-1.0-py3-none-any.whl": b"x"}
        gateway = await start_gateway(settings | {"fallback.mode": "cache", "fallback.base_url": public.url})
        assert (await get(gateway, "/other/")).status == 200
        gateway.mount.patience.seconds = 0
        assert (await get(gateway, "/other/")).status == 200


async def test_a_head_that_fails_is_not_followed_by_a_get_that_asks_why(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"storage.max_attempts": "1"})
    faulty.then(error(503, "SlowDown", body=b""), times=ALWAYS)
    assert (await get(gateway, "/other/file-1.0.tar.gz", "HEAD")).status == 503
    assert [request.method for request in faulty.requests] == ["HEAD"]


@pytest.mark.parametrize(
    ("target", "status"), [("/unknown/file-1.0.tar.gz", 504), ("/unknown/", 503), ("/", 503), ("/page", 504)]
)
async def test_whatever_takes_so_long_a_request_is_answered_in_time(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, target: str, status: int
) -> None:
    gateway = await start_gateway(settings | {"server.answer_timeout": "0.1", "storage.read_timeout": "3600"})
    faulty.then(faults.stall, times=ALWAYS)
    answer = await get(gateway, target)  # nothing else would end it
    assert answer.status == status
    assert b"server." not in answer.body


async def test_a_body_may_take_longer_than_the_answer(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects["large.bin"] = bytes(20_000_000)
    gateway = await start_gateway(settings | {"server.answer_timeout": "0.3"})
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]), limit=4096)
    writer.write(b"GET /large.bin HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    deadline = asyncio.get_running_loop().time() + 0.4
    await eventually(lambda: asyncio.get_running_loop().time() > deadline)  # it takes nothing meanwhile
    assert len(await reader.read()) == 20_000_000
    writer.close()


async def test_the_log_says_what_an_answer_has_cost_and_that_it_is_stale(
    start_gateway: StartGateway,
    settings: dict[str, str],
    faulty: FaultyBucket,
    capfd: pytest.CaptureFixture[str],
) -> None:
    gateway = await start_gateway(
        settings | {"log.access": "true", "log.format": "json", "storage.max_attempts": "2", "rewrite.add_prefix": "/p"}
    )
    faulty.objects["p/page.html"] = b"a page"
    assert (await get(gateway, "/page.html")).status == 200
    faulty.then(BUSY, BUSY)
    assert (await get(gateway, "/page.html")).status == 200
    await get(gateway, "/health")
    await get(gateway, "/simple/")
    STDOUT.flush()
    first, stale, health, page = (
        json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")
    )
    assert (first["key"], first["attempts"], first["stale"]) == ("p/page.html", 1, "no")
    assert (stale["key"], stale["attempts"], stale["stale"]) == ("p/page.html", 2, "yes")
    assert 0 < stale["upstream_ms"] <= stale["duration_ms"]
    assert "attempts" not in health
    assert [line["upstream_status"] for line in (first, stale, health)] == [200, 503, None]
    assert page["route"] == "index"
    assert page["upstream_status"] is not None


async def test_what_is_too_old_to_be_served_is_waited_for(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"cache.stale_if_error": "0"})
    gateway.mount.patience.seconds = 0
    for target in ("/page.html", "/acme/"):
        assert {(await get(gateway, target)).status for _ in range(3)} == {200}


@pytest.mark.parametrize("fault", [BUSY, faults.stall], ids=["busy", "stall"])
async def test_what_was_not_there_is_not_there_while_the_storage_can_t_say(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, fault: Behaviour
) -> None:
    """The metadata of a wheel is read out of it where no object beside it has it: it must be known that none has."""
    name, content = wheel("acme", "2.0")
    faulty.objects[f"acme/{name}"] = content
    gateway = await start_gateway(settings | {"server.answer_timeout": "2"})
    targets = ["/acme/", f"/acme/{name}.metadata", f"/acme/{name}"]
    known = [(await get(gateway, target)).body for target in targets]
    gateway.refresh()  # has all of it asked for again, as an upload does
    faulty.then(fault, times=ALWAYS)
    gateway.mount.patience.seconds = 0.05
    for _ in range(2):
        answers = [await get(gateway, target) for target in targets]
        assert [answer.status for answer in answers] == [200] * 3
        assert [answer.body for answer in answers] == known
    assert (await get(gateway, f"/acme/{name}.sha256")).status != 404, "of which nothing is known"


@pytest.mark.parametrize("fault", [BUSY, faults.stall], ids=["busy", "stall"])
async def test_a_file_that_was_not_there_is_404_at_once_while_the_storage_can_t_say(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, fault: Behaviour
) -> None:
    """Whether it is a directory can't be asked either."""
    gateway = await start_gateway(settings | {"server.answer_timeout": "5"})
    targets = ["/acme/acme-9.0.tar.gz", "/acme"]
    assert [(await get(gateway, target)).status for target in targets] == [404, 301]
    gateway.refresh()
    faulty.then(fault, times=ALWAYS)
    gateway.mount.patience.seconds = 0.05
    for _ in range(2):
        assert [(await get(gateway, target)).status for target in targets] == [404, 301]
    assert (await get(gateway, "/acme/acme-8.0.tar.gz")).status in (503, 504), "of which nothing is known"


async def test_pip_installs_what_is_known_from_a_storage_that_never_answers(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    name, content = wheel("acme", "2.0")
    faulty.objects[f"acme/{name}"] = content
    gateway = await start_gateway(settings)
    for target in ("/acme/", f"/acme/{name}.metadata", f"/acme/{name}"):
        assert (await get(gateway, target)).status == 200
    faulty.then(faults.stall, times=ALWAYS)
    options = ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--retries", "0", "--target"]
    command = ["-m", "pip", "install", *options, str(tmp_path / "installed"), "--index-url", gateway.url, "acme"]
    clean = {variable: value for variable, value in os.environ.items() if not variable.startswith("PIP_")}
    python = environments.environment(tmp_path / "environment", ["pip"])
    pip = await asyncio.create_subprocess_exec(python, *command, env=clean | {"PIP_CONFIG_FILE": os.devnull})
    assert await pip.wait() == 0
    assert (tmp_path / "installed/acme-2.0.dist-info").is_dir()


async def test_the_other_index_s_pages_outlive_it_at_once(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """It has been silent for a second; the storage is well."""
    async with PublicIndex().running() as public:
        public.projects["other"] = {"other-1.0-py3-none-any.whl": b"x"}
        public.projects["third"] = {"third-1.0-py3-none-any.whl": b"x"}
        gateway = await start_gateway(
            settings | {"fallback.mode": "cache", "fallback.base_url": public.url, "server.answer_timeout": "4"}
        )
        known = {target: (await get(gateway, target)).body for target in ("/other/", "/third/")}
        public.silent = True
        for target in (*known, *known):
            answer = await get(gateway, target)
            assert (answer.status, answer.body) == (200, known[target])
        assert public.asked("/simple/") > 2


async def test_bodies_that_break_off_are_gone_on_with_as_far_as_the_budget_for_retries_goes(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    faulty.then(faults.reset_in_body(500, length=2000), times=ALWAYS)
    for number in range(100):
        assert (await get(gateway, f"/{number}/file-1.0.tar.gz")).status == 502
    assert len(faulty.requests) <= 120


async def test_a_small_body_that_never_ends_does_not_keep_an_object_stale(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a storage that sends a byte now and then, so that it is never silent for long."""
    monkeypatch.setattr("gateway.cache.object_cache._SMALL_SECONDS", 0.1)
    gateway = await start_gateway(settings | {"storage.read_timeout": "3600"})
    gateway.mount.patience.seconds = 0
    await get(gateway, "/page.html")
    faulty.then(faults.stall_in_body(1, length=2))
    faulty.objects["page.html"] = b"a new page"
    async with asyncio.timeout(15):
        while (await get(gateway, "/page.html")).body != b"a new page":
            pass
