"""The hash and the metadata that lie beside files which others have deleted, or which are replaced."""

import hashlib

import pytest

from gateway.publish.life_cycle.companions import Companions
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket
from tests.support.uploads import upload, wheel

OPEN = {"publish.enabled": "true", "publish.allow_anonymous": "true"}
FILE, CONTENT = wheel("acme_web", "1.0")
KEY = f"acme-web/{FILE}"
METADATA, HASH = f"{KEY}.metadata", f"{KEY}.sha256"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OF_OTHERS = {METADATA: b"Name: acme-web\n", HASH: b"ab" * 32}
OTHERS = {"acme-web/acme_web-0.9.tar.gz": b"old"}


@pytest.mark.parametrize("others", [{}, OTHERS], ids=["alone", "beside others"])
async def test_a_new_file_has_none_of_one_that_was_deleted(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], others: dict[str, bytes]
) -> None:
    """Installers would refuse it, as its hash is another one."""
    gateway = await start_gateway(faulty_settings | OPEN)
    faulty.objects = OF_OTHERS | others
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert faulty.objects == {KEY: CONTENT} | others


async def test_a_file_that_replaces_another_has_none_of_it(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | OPEN | {"publish.overwrite": "everyone"})
    faulty.objects = {KEY: b"old"} | OF_OTHERS
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert faulty.objects == {KEY: CONTENT}


async def test_a_file_that_replaces_the_same_keeps_its_metadata(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """A stored page goes on to name them."""
    gateway = await start_gateway(faulty_settings | OPEN | {"publish.overwrite": "everyone"})
    faulty.objects = {KEY: CONTENT} | OF_OTHERS
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert faulty.objects == {KEY: CONTENT, METADATA: OF_OTHERS[METADATA]}


async def test_a_file_that_is_refused_leaves_those_of_another(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | OPEN)
    faulty.objects = before = {KEY: b"old"} | OF_OTHERS
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 409
    assert faulty.objects == before


async def test_a_hash_of_the_same_bytes_stays(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    companions = Companions((await start_gateway(faulty_settings | OPEN)).mount.storage)
    faulty.objects = {HASH: f"{SHA256.upper()}  {FILE}\n".encode()}
    await companions.remove_lost(KEY, SHA256)
    await companions.remove_others(KEY, len(CONTENT), SHA256)
    assert HASH in faulty.objects
    await companions.remove_lost(KEY, None)
    assert faulty.objects == {}
