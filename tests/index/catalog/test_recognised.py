"""The layout that is recognised: when it is looked for, how long it holds, and what happens while it can't be known."""

import json
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.cache.lru import MemoryLimit
from gateway.errors import NotFoundError
from gateway.index.catalog.flat import FlatCatalog
from gateway.index.catalog.folders import FolderCatalog
from gateway.index.catalog.recognised import RecognisedCatalog
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.faults import Answer, FaultyBucket, Request, error
from tests.support.http import RawAnswer, fetch
from tests.support.publicindex import PublicIndex

JSON = "application/vnd.pypi.simple.v1+json"
AUTO = {"index.layout": "auto", "index.compute_hashes": "false", "storage.max_attempts": "1"}


async def get(gateway: Gateway, target: str) -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), target, headers={"Accept": JSON})


async def files(gateway: Gateway, project: str) -> list[str]:
    return [file["filename"] for file in json.loads((await get(gateway, f"/simple/{project}/")).body)["files"]]


async def no_look(answer: Answer) -> None:
    await (error(400, "InvalidRequest") if is_look(answer.request) else faults.healthy)(answer)


async def no_listing(answer: Answer) -> None:
    await (error(403, "AccessDenied") if "list-type" in answer.request.target else faults.healthy)(answer)


async def only_delimited(answer: Answer) -> None:
    """What lists everything fails."""
    whole = "list-type" in answer.request.target and "delimiter" not in answer.request.target
    await (error(500, "InternalError") if whole else faults.healthy)(answer)


def is_look(request: Request) -> bool:
    return "delimiter" in request.target and "prefix=" not in request.target


def looks(faulty: FaultyBucket) -> int:
    return sum(map(is_look, faulty.requests))


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (["arrow-1.0.tar.gz"], ["arrow-1.0.tar.gz"]),
        (["arrow/arrow-1.0.tar.gz"], ["arrow-1.0.tar.gz"]),
        # Nothing of ours is hidden in a mixed one.
        (["arrow-1.0.tar.gz", "arrow/arrow-2.0.tar.gz"], ["arrow-1.0.tar.gz", "arrow-2.0.tar.gz"]),
    ],
)
async def test_a_bucket_is_served_as_it_is_laid_out(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    keys: list[str],
    found: list[str],
) -> None:
    faulty.objects = dict.fromkeys(keys, b"x")
    gateway = await start_gateway(faulty_settings | AUTO)
    assert sorted(await files(gateway, "arrow")) == found
    assert json.loads((await get(gateway, "/simple/")).body)["projects"] == [{"name": "arrow"}]


async def test_the_default_is_to_recognise(start_gateway: StartGateway, tmp_path: Path) -> None:
    (tmp_path / "arrow-1.0.tar.gz").touch()
    gateway = await start_gateway({"storage.dir": str(tmp_path), "index.layout": "auto"})
    assert await files(gateway, "arrow") == ["arrow-1.0.tar.gz"]
    assert type(gateway.settings)().index.layout == "auto"


async def test_an_empty_directory_is_looked_at_until_something_is_there(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway({"storage.dir": str(tmp_path), "index.layout": "auto"})
    assert (await get(gateway, "/simple/arrow/")).status == 404
    (tmp_path / "arrow-1.0.tar.gz").touch()
    assert await files(gateway, "arrow") == ["arrow-1.0.tar.gz"]


async def test_while_the_layout_can_t_be_known_every_page_is_503(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """A folder that could be listed would be half of it."""
    faulty.objects = {"arrow-1.0.tar.gz": b"x", "arrow/arrow-2.0.tar.gz": b"x"}
    faulty.then(no_look, times=1000)
    gateway = await start_gateway(faulty_settings | AUTO)
    for target in ("/simple/", "/simple/arrow/", "/arrow/"):
        assert (await get(gateway, target)).status == 503, target
    faulty.script.clear()
    assert sorted(await files(gateway, "arrow")) == ["arrow-1.0.tar.gz", "arrow-2.0.tar.gz"]


async def test_what_was_recognised_holds_while_the_bucket_refuses(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"arrow-1.0.tar.gz": b"x"}
    gateway = await start_gateway(faulty_settings | AUTO | {"index.refresh": "0"})
    assert await files(gateway, "arrow") == ["arrow-1.0.tar.gz"]
    faulty.then(error(403, "AccessDenied"), times=1000)
    assert await files(gateway, "arrow") == ["arrow-1.0.tar.gz"]
    faulty.script.clear()
    del faulty.objects["arrow-1.0.tar.gz"]
    gateway.refresh()
    assert (await get(gateway, "/simple/arrow/")).status == 404
    faulty.objects["wheels/arrow-2.0.tar.gz"] = b"x"
    faulty.objects["arrow-3.0.tar.gz"] = b"x"
    gateway.refresh()
    assert sorted(await files(gateway, "arrow")) == ["arrow-2.0.tar.gz", "arrow-3.0.tar.gz"]


async def test_without_leave_to_list_what_is_stored_is_served(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"arrow/index.html": b"<a>"}
    faulty.then(no_listing, times=1000)
    gateway = await start_gateway(faulty_settings | AUTO)
    answer = await fetch(int(gateway.url.rpartition(":")[2]), "/arrow/")
    assert (answer.status, answer.body) == (200, b"<a>")
    assert (await get(gateway, "/simple/other/")).status == 404


async def test_the_top_is_one_request_and_nobody_waits_for_the_next_look(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"arrow-{number}.tar.gz": b"x" for number in range(3000)}
    gateway = await start_gateway(faulty_settings | AUTO)
    for _ in range(3):
        assert len(await files(gateway, "arrow")) == 3000
    assert looks(faulty) == 1
    faulty.objects["arrow-9999.tar.gz"] = b"x"
    gateway.refresh()
    assert len(await files(gateway, "arrow")) == 3001
    assert looks(faulty) == 2


async def test_a_folder_beside_files_is_ours_though_no_file_is_in_it(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    """A wheel that is copied to the wrong place must not open the name of a project to another index."""
    (tmp_path / "reserved").mkdir()
    (tmp_path / "reserved" / ".keep").touch()
    (tmp_path / "stray-1.0.tar.gz").touch()
    settings = {"storage.dir": str(tmp_path), "index.layout": "auto"}
    async with PublicIndex().running() as public:
        public.projects = {"reserved": {"reserved-1.0.tar.gz": b"evil"}, "other": {"other-1.0.tar.gz": b"good"}}
        gateway = await start_gateway(settings | {"fallback.mode": "mirror", "fallback.base_url": public.url})
        assert await files(gateway, "stray") == ["stray-1.0.tar.gz"]
        assert (await get(gateway, "/simple/reserved/")).status == 404
        assert (await get(gateway, "/reserved/reserved-1.0.tar.gz")).status == 404
        assert public.requests == []
        assert await files(gateway, "other") == ["other-1.0.tar.gz"]


async def test_a_project_that_is_new_in_a_folder_beside_files_has_its_page_before_all_is_listed_again(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """As when another worker or gateway has kept the first file of a project of the other index."""
    public = PublicIndex()
    public.projects = {"six": {"six-1.0.tar.gz": b"x", "six-2.0.tar.gz": b"y"}}
    faulty.objects = {"arrow-1.0.tar.gz": b"x", "boto/boto-1.0.tar.gz": b"x"}
    async with public.running():
        fallback = {"fallback.mode": "cache", "fallback.base_url": public.url}
        gateway = await start_gateway(faulty_settings | AUTO | fallback)
        assert await files(gateway, "arrow") == ["arrow-1.0.tar.gz"]
        faulty.objects["six/six-1.0.tar.gz"] = b"x"
        assert await files(gateway, "six") == ["six-1.0.tar.gz"]
        assert (await get(gateway, "/simple/six")).status == 301
        faulty.script = [only_delimited] * 100
        gateway.refresh()
        assert await files(gateway, "six") == ["six-1.0.tar.gz"], "its folder tells that it is ours"
        faulty.script.clear()
        gateway.refresh()
        assert await files(gateway, "six") == ["six-1.0.tar.gz"]
        del faulty.objects["six/six-1.0.tar.gz"]
        gateway.refresh()
        assert await files(gateway, "six") == ["six-1.0.tar.gz", "six-2.0.tar.gz"], "it is the other index's again"


async def test_a_project_that_is_new_beside_folders_has_its_page_before_it_is_time_to_list_all_again(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"arrow-1.0.tar.gz": b"x", "boto/boto-1.0.tar.gz": b"x"}
    async with PublicIndex().running() as public:
        fallback = {"fallback.mode": "cache", "fallback.base_url": public.url}
        gateway = await start_gateway(faulty_settings | AUTO | fallback)
        assert await files(gateway, "arrow") == ["arrow-1.0.tar.gz"]
        faulty.objects["six-1.0.tar.gz"] = b"x"
        faulty.script = [only_delimited] * 100
        assert (await get(gateway, "/simple/six/")).status == 503
        faulty.script.clear()
        assert await files(gateway, "six") == ["six-1.0.tar.gz"]
        assert public.requests == []
        asked = len(faulty.requests)
        assert (await get(gateway, "/six/six-2.0.tar.gz")).status == 404
        listings = [request.target for request in faulty.requests[asked:] if "list-type" in request.target]
        assert all("prefix=six" in listing for listing in listings), "nothing is listed again"


async def test_a_folder_that_was_listed_before_everything_tells_nothing_of_a_project(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"arrow-1.0.tar.gz": b"x", "six/six-1.0.tar.gz": b"x"}
    storage = (await start_gateway(faulty_settings | {"index.mode": "off"})).storage
    memory = MemoryLimit(1_000_000)
    folders = FolderCatalog(storage, "", index_document="index.html", refresh=30, stale_if_error=0, memory=memory)
    flat = FlatCatalog(storage, "", index_document="index.html", refresh=30, stale_if_error=0, memory=memory)
    catalog = RecognisedCatalog(storage, "", folders, flat, refresh=30, stale_if_error=0)
    assert (await folders.files("six")).value.objects
    del faulty.objects["six/six-1.0.tar.gz"]
    assert set((await catalog.projects()).value.folders) == {"arrow"}
    with pytest.raises(NotFoundError):
        await catalog.files("six")
    await catalog.close()
