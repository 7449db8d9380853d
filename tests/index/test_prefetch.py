"""What is fetched before an installer asks for it, and what is not."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, cast

import pytest

from gateway.app import Gateway
from gateway.index import prefetch
from gateway.index.json_pieces import MAX_PIECE_CHARS
from gateway.index.prefetch import newest_wheels, newest_wheels_on, requirements
from gateway.messages import BufferedResponse, ObjectRequest, PageRequest
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import Answer, FaultyBucket
from tests.support.http import RawAnswer, fetch

JSON = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


def metadata(name: str, *needs: str) -> bytes:
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0", *(f"Requires-Dist: {need}" for need in needs)]
    return "\n".join(lines).encode() + b"\n\nRequires-Dist: not-this\n"


def release(bucket: FaultyBucket, name: str, *needs: str, page: bool = False) -> None:
    """Two versions of a project, the newer with what it needs."""
    for version in ("1.0", "2.0"):
        wheel = f"{name}/{name}-{version}-py3-none-any.whl"
        bucket.objects[wheel] = b"wheel of " + wheel.encode()
        bucket.objects[f"{wheel}.metadata"] = metadata(name, *needs)
    if page:
        links = "".join(
            f'<a href="{name}-{version}-py3-none-any.whl" data-core-metadata="true">x</a>' for version in ("1.0", "2.0")
        )
        bucket.objects[f"{name}/index.html"] = f"<!DOCTYPE html><body>{links}</body>".encode()


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    release(faulty, "app", "lib>=1", 'extra-only; extra == "x"', "gone")
    release(faulty, "lib", "deep", page=True)
    release(faulty, "deep")
    release(faulty, "other")
    cache = {"cache.memory_bytes": "10000000", "cache.prefetch": "true"}
    return faulty_settings | cache | {"index.compute_hashes": "false", "storage.max_attempts": "1"}


async def get(gateway: Gateway, target: str, accept: str = "*/*") -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), target, headers={"Accept": accept})


def asked(bucket: FaultyBucket) -> list[str]:
    """Keys, but for those of which a page wants to know something, in the background."""
    metadata = {"x-amz-checksum-mode", "range"}
    return [request.key for request in bucket.requests if request.key and not metadata & set(request.headers)]


async def test_the_metadata_of_all_that_a_project_needs_is_there_before_it_is_asked_for(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    assert (await get(gateway, "/simple/app/", JSON)).status == 200
    wanted = {f"{name}/{name}-2.0-py3-none-any.whl.metadata" for name in ("app", "lib", "deep")}
    await faulty.until(lambda: wanted <= set(asked(faulty)) and all(r.done.is_set() for r in faulty.requests))
    await settled(gateway)
    faulty.requests.clear()
    for key in sorted(wanted):
        assert (await get(gateway, f"/{key}")).body == faulty.objects[key]
    assert (await get(gateway, "/simple/lib/", JSON)).status == 200
    await settled(gateway)
    wheels = {key.removesuffix(".metadata") for key in wanted}
    assert set(asked(faulty)) == wheels, "which are likely to be installed now"
    faulty.requests.clear()
    for key in sorted(wheels):
        assert (await get(gateway, f"/{key}")).body == faulty.objects[key]
    assert asked(faulty) == []


async def settled(gateway: Gateway) -> None:
    """Until nothing is fetched ahead any more."""
    ahead = gateway.mount.prefetch
    assert ahead is not None
    await eventually(lambda: not any(ahead.stats().values()), ahead.stats)


@pytest.mark.parametrize("accept", ["text/html,application/xhtml+xml", "*/*"])
async def test_people_and_old_clients_have_nothing_fetched_for_them(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, accept: str
) -> None:
    gateway = await start_gateway(settings | {"index.browse": "false"})
    assert (await get(gateway, "/app/", accept)).status == 200
    await settled(gateway)
    assert asked(faulty) == []


async def test_it_is_off_unless_it_is_wanted(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"cache.prefetch": "false"})
    assert (await get(gateway, "/simple/app/", JSON)).status == 200
    assert gateway.mount.prefetch is None
    assert asked(faulty) == []


async def test_the_root_page_leads_nowhere(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway(settings)
    for target in ("/", "/simple/"):
        assert (await get(gateway, target, JSON)).status == 200
        await settled(gateway)
    assert asked(faulty) == []
    assert "this is a bug" not in caplog.text


async def test_keys_of_any_length_are_not_remembered() -> None:
    """A client may ask for many spellings of one project."""
    asked: list[str] = []

    async def page(request: PageRequest) -> BufferedResponse:
        asked.append(request.key)
        return BufferedResponse(200, b"{}")

    async def file(request: ObjectRequest) -> BufferedResponse:
        return BufferedResponse(200, b"")

    ahead = prefetch.Prefetch(page, file, file, max_bytes=1, clients=lambda: 0)
    for dashes in (1100, 1000):
        ahead.after_page(f"my{'-' * dashes}app/", JSON)
    await eventually(lambda: not any(ahead.stats().values()), ahead.stats)
    assert [len(key) for key in asked] == [1006]


async def test_a_wheel_too_large_to_be_kept_is_not_fetched(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"cache.object_max_bytes": "20"})
    await get(gateway, "/app/app-2.0-py3-none-any.whl.metadata")
    await settled(gateway)
    wheel = [request.method for request in faulty.requests if request.key.endswith(".whl")]
    assert wheel == ["HEAD"]


async def test_it_is_given_up_while_there_are_many_clients(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start_gateway(settings)
    assert gateway.mount.prefetch is not None
    go_on = asyncio.Event()

    async def waiting(answer: Answer) -> None:
        await go_on.wait()
        await faults.healthy(answer)

    faulty.then(waiting, times=3)
    for name in ("app", "lib", "deep"):
        gateway.mount.prefetch.after_file(f"{name}/{name}-1.0-py3-none-any.whl.metadata")
    await faulty.until(lambda: len(faulty.requests) == 3)
    monkeypatch.setattr(prefetch, "_MANY_CLIENTS", 0)
    assert (await get(gateway, "/simple/app/", JSON)).status == 200
    await settled(gateway)  # though nothing has been answered
    go_on.set()
    # What the page of app tells of its files is found out in any case.
    assert not any(request.method == "GET" and request.key.startswith(("lib/", "deep/")) for request in faulty.requests)
    assert gateway.metrics.in_flight == 0


@pytest.mark.parametrize(
    ("page", "followed"),
    [
        (b'{"files": [{"filename": "p-1.0-py3-none-any.whl", "url": "a.whl", "core-metadata": true}]}', ["p/a.whl"]),
        (b"not JSON", []),
        (b"[1]", []),
        (b'{"files": {"p": 1}}', []),
        (b'{"files": [1, {}, {"filename": 1, "url": ""}, {"filename": "p-1.0-py3-none-any.whl", "url": 1}]}', []),
    ],
)
async def test_what_a_stored_page_says_may_be_malformed(
    page: bytes, followed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    async def stored(request: PageRequest) -> BufferedResponse:
        return BufferedResponse(200, page, {})

    async def file(request: ObjectRequest) -> BufferedResponse:
        asked.append(request.key)
        return BufferedResponse(200, b"", {})

    background = prefetch.Prefetch(stored, file, cast(Any, None), max_bytes=0, clients=lambda: 0)
    background.after_page("p/", JSON)
    await eventually(lambda: not any(background.stats().values()))
    assert asked == [f"{key}.metadata" for key in followed]
    assert not caplog.records


def test_a_large_page_is_read_in_pieces() -> None:
    """No other thread runs while Python's parser does."""
    page = json.dumps({"files": [file(f"p-1.{n}-py3-none-any.whl") for n in range(5000)]}).encode()
    lengths = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is json.JSONDecoder.raw_decode.__code__:
            lengths.append(len(frame.f_locals["s"]))

    sys.setprofile(note)
    try:
        found = newest_wheels_on(page, "p")
    finally:
        sys.setprofile(None)
    assert found == ["p-1.4999-py3-none-any.whl"]
    assert 0 < max(lengths) <= MAX_PIECE_CHARS < len(page)


def file(name: str, **more: object) -> dict[str, object]:
    return {"filename": name, "url": name, "core-metadata": True, **more}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], []),
        ([file("p-1.0-py3-none-any.whl"), file("p-1.10-py3-none-any.whl")], ["p-1.10-py3-none-any.whl"]),
        ([file("p-1.0-py3-none-any.whl"), file("p-2.0rc1-py3-none-any.whl")], ["p-1.0-py3-none-any.whl"]),
        ([file("p-2.0rc1-py3-none-any.whl")], ["p-2.0rc1-py3-none-any.whl"]),
        ([file("p-1.0-py3-none-any.whl"), file("p-2.0-py3-none-any.whl", yanked="bad")], ["p-1.0-py3-none-any.whl"]),
        ([file("p-1.0.tar.gz", **{"core-metadata": False}), file("q-9.0-py3-none-any.whl")], []),
        ([file("p-1.0-py3-none-any.whl", url="https://elsewhere.example/p-1.0-py3-none-any.whl")], []),
        (
            [file(f"p-1.0-cp311-cp311-{os}.whl") for os in ("win32", "linux_x86_64")]
            + [file("p-1.0-py3-none-any.whl")],
            ["p-1.0-py3-none-any.whl"],
        ),
        (
            [file(f"p-1.0-cp3{n}-cp3{n}-linux_x86_64.whl") for n in range(9)],
            [f"p-1.0-cp3{n}-cp3{n}-linux_x86_64.whl" for n in range(3)],
        ),
    ],
)
def test_which_files_are_likely(files: list[dict[str, object]], expected: list[str]) -> None:
    assert newest_wheels("p", files) == expected


def test_what_a_release_needs() -> None:
    text = metadata("p", "My_Lib[x]>=1", 'old; python_version < "3"', "not a requirement", 'x; extra == "y"').decode()
    assert list(requirements(text)) == ["my-lib"]


@pytest.mark.parametrize(
    "odd",
    ["old; python_version ~= 'abc'", "x; 'a' === 'b'", "x; " + "(" * 5000 + "python_version > '3'" + ")" * 5000],
    ids=["undefined", "no variable", "deep"],
)
def test_what_can_t_be_read_of_the_needs_hides_none_of_the_rest(odd: str) -> None:
    assert list(requirements(metadata("p", odd, "lib").decode())) == ["lib"]


def test_what_a_release_needs_is_bounded() -> None:
    needs = [f"lib-{number}" for number in range(5000)]
    assert list(requirements(metadata("p", *needs).decode())) == needs[:1000]


def test_a_name_that_no_project_can_have_is_not_needed() -> None:
    assert list(requirements(metadata("p", "x" * 129, "lib", "y" * 500_000).decode())) == ["lib"]


async def test_needs_are_read_in_a_thread(
    start_gateway: StartGateway, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def noted(text: str) -> Iterator[str]:
        threads.append(threading.current_thread())
        yield from requirements(text)

    monkeypatch.setattr(prefetch, "requirements", noted)
    gateway = await start_gateway(settings)
    assert (await get(gateway, "/simple/app/", JSON)).status == 200
    await settled(gateway)
    assert threads
    assert threading.main_thread() not in threads
