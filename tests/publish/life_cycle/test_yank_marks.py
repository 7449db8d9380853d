"""Marks of files that others delete meanwhile, or have deleted only in part."""

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.errors import NotFoundError
from gateway.publish.life_cycle.yank_marks import YankMarks
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket
from tests.support.uploads import upload, wheel

OPEN = {"publish.enabled": "true", "publish.allow_anonymous": "true"}
FILE, CONTENT = wheel("acme_web", "1.0")
KEY = f"acme-web/{FILE}"
MARK = f"{KEY}.yanked"


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    return await start_gateway(faulty_settings | OPEN)


async def test_a_file_that_is_deleted_while_it_is_yanked_leaves_no_mark(gateway: Gateway, faulty: FaultyBucket) -> None:
    with pytest.raises(NotFoundError):
        await YankMarks(gateway.mount.storage).put(KEY, "theirs")
    assert faulty.objects == {}


async def test_only_a_mark_whose_file_is_gone_is_removed(gateway: Gateway, faulty: FaultyBucket) -> None:
    marks = YankMarks(gateway.mount.storage)
    faulty.objects = {KEY: CONTENT, MARK: b"ours"}
    await marks.remove_lost(KEY)
    assert await marks.of(KEY) == "ours"
    del faulty.objects[KEY]
    await marks.remove_lost(KEY)
    assert faulty.objects == {}


@pytest.mark.parametrize("others", [{}, {"acme-web/acme_web-0.9.tar.gz": b"old"}], ids=["alone", "beside others"])
async def test_a_new_file_has_no_mark_of_one_that_was_deleted_in_part(
    gateway: Gateway, faulty: FaultyBucket, others: dict[str, bytes]
) -> None:
    faulty.objects = others | {MARK: b"of another"}
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert faulty.objects == others | {KEY: CONTENT}
    async with aiohttp.request("GET", f"{gateway.url}/simple/acme-web/") as answer:
        assert "data-yanked" not in await answer.text()


async def test_a_new_file_is_not_yanked_if_its_uploader_may_replace_files(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """Only the mark of a file that is replaced is that file's."""
    gateway = await start_gateway(faulty_settings | OPEN | {"publish.overwrite": "everyone"})
    faulty.objects = {MARK: b"broken"}
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert faulty.objects == {KEY: CONTENT}
    faulty.objects, faulty.headers = {KEY: b"old", MARK: b"broken"}, {}
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert faulty.objects == {KEY: CONTENT, MARK: b"broken"}
